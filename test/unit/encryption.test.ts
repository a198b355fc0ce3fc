import t from 'tap'
import { createSealer, deriveKey, SealBroken } from '../../src/keys/encryption.ts'
import { systemRandom } from '../../src/system.ts'

const PLAIN = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nschlüssel\n-----END PRIVATE KEY-----\n'
const sealer = createSealer(Buffer.alloc(32, 1), systemRandom)
const other = createSealer(Buffer.alloc(32, 2), systemRandom)

t.test('an encrypted key decrypts under the same kid and master key in another process', async (t) => {
  const sealed = sealer.seal('kid', PLAIN)
  t.equal(sealer.open('kid', sealed), PLAIN)
  t.equal(createSealer(Buffer.alloc(32, 1), systemRandom).open('kid', sealed), PLAIN)
})

t.test('the ciphertext reveals nothing of the key, and no two ciphertexts are equal', async (t) => {
  const seals = Array.from({ length: 1000 }, () => sealer.seal('kid', PLAIN))
  t.equal(new Set(seals.map((sealed) => sealed.split('.')[1])).size, 1000, 'a nonce is never used twice')
  t.notMatch(seals[0], /BEGIN|PRIVATE|MIGHAgEAMBMGByqGSM49/)
  t.notMatch(Buffer.from(seals[0]?.split('.')[2] ?? '', 'base64url').toString('latin1'), /BEGIN|PRIVATE/)
})

t.test('another master key does not decrypt it (docs/security.md Q8)', async (t) => {
  t.throws(() => other.open('kid', sealer.seal('kid', PLAIN)), SealBroken)
})

t.test('a ciphertext moved to another key does not decrypt (kid as associated data)', async (t) => {
  const sealed = sealer.seal('kid', PLAIN)
  for (const kid of ['other', '', 'kid ', 'KID']) t.throws(() => sealer.open(kid, sealed), SealBroken)
})

/** The texts that decrypt; a tap assertion for each of thousands would take longer than everything else. */
function opening(texts: Iterable<string>): string[] {
  const opened: string[] = []
  for (const text of texts) {
    try {
      sealer.open('kid', text)
      opened.push(text)
    } catch (error) {
      if (!(error instanceof SealBroken)) throw error
    }
  }
  return opened
}

t.test('changing any character of the ciphertext makes decryption fail (docs/security.md Q8)', async (t) => {
  const sealed = sealer.seal('kid', PLAIN)
  const changed = [...sealed].flatMap((letter, i) =>
    ['A', 'B', 'v', '_', '.', '=', ' ', '\0']
      .filter((other) => other !== letter)
      .map((other) => sealed.slice(0, i) + other + sealed.slice(i + 1)),
  )
  t.ok(changed.length > 7 * sealed.length)
  t.same(opening(changed), [])
  t.same(opening([sealed]), [sealed])
})

t.test('flipping any bit of the ciphertext makes decryption fail', async (t) => {
  const [format, iv = '', body = ''] = sealer.seal('kid', PLAIN).split('.')
  const flips = (text: string) => {
    const bytes = Buffer.from(text, 'base64url')
    return Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const copy = Buffer.from(bytes)
      copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      return copy.toString('base64url')
    })
  }
  t.same(opening(flips(iv).map((flipped) => [format, flipped, body].join('.'))), [])
  t.same(opening(flips(body).map((flipped) => [format, iv, flipped].join('.'))), [])
})

t.test('a truncated or extended ciphertext does not decrypt (docs/security.md Q8)', async (t) => {
  const sealed = sealer.seal('kid', PLAIN)
  t.same(opening([...sealed].map((_, length) => sealed.slice(0, length))), [])
  const added = ['.', '.x', 'A', 'AAAA', '=', '\n', ' ']
  t.same(opening(added.flatMap((text) => [sealed + text, text + sealed])), [])
})

t.test('a tag of less than 16 bytes is refused', async (t) => {
  const [format, iv = '', body = ''] = sealer.seal('kid', '').split('.')
  t.equal(Buffer.from(body, 'base64url').length, 16)
  for (const length of [4, 8, 12, 15]) {
    const tag = Buffer.from(body, 'base64url').subarray(0, length).toString('base64url')
    t.throws(() => sealer.open('kid', [format, iv, tag].join('.')), SealBroken)
  }
})

t.test('the error message names the key and reveals nothing of its content', async (t) => {
  const message = 'the private key kid-1 does not open with this master key'
  t.throws(() => sealer.open('kid-1', 'v1.AAAA.BBBB'), { name: 'SealBroken', message })
})

t.test('each purpose has its own derived key (RFC 5869 §3.2)', async (t) => {
  const purposes = [
    'keyturn/seal-private-keys/v1',
    'keyturn/refresh-token-mac/v1',
    'keyturn/throttle-key/v1',
  ] as const
  const keys = purposes.map((purpose) => deriveKey(Buffer.alloc(32, 1), purpose).toString('hex'))
  t.equal(new Set(keys).size, 3)
  for (const key of keys) t.equal(key.length, 64)
  t.notOk(keys.includes(Buffer.alloc(32, 1).toString('hex')))
})
