import t from 'tap'
import { createCipher, DecryptionError, deriveKey, type NamedKey } from '../../src/keys/encryption.ts'
import { systemRandom } from '../../src/system.ts'
import { encryptPrivateKey, masterKeysOf } from '../support/server/keys.ts'

const PLAIN = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nschlüssel\n-----END PRIVATE KEY-----\n'
const NAMES = { value: 'the flow', keyName: 'the data key' } as const

const named = (id: string, fill: number): NamedKey => ({
  id,
  key: deriveKey(Buffer.alloc(32, fill), 'keyturn/flows/v1'),
})

/** Encrypts with the first key and decrypts with any of them. */
const cipherOf = (...keys: NamedKey[]) =>
  createCipher(
    {
      current: () => keys[0] ?? named('none', 0),
      find: (id) => keys.find((key) => key.id === id)?.key,
    },
    systemRandom,
    NAMES,
  )
const cipher = cipherOf(named('one', 1))
const damaged = (context: string) => ({
  name: 'DecryptionError',
  message: `the flow ${context} cannot be decrypted: the text is damaged or belongs to something else`,
})

t.test('a ciphertext decrypts in the same context with the same key, also in another process', async (t) => {
  const text = cipher.encrypt('kid', PLAIN)
  t.equal(cipher.decrypt('kid', text), PLAIN)
  t.equal(cipherOf(named('one', 1)).decrypt('kid', text), PLAIN)
  t.equal(cipher.decrypt('kid', cipher.encrypt('kid', '')), '')
})

t.test('a ciphertext names its key, and only that key is tried', async (t) => {
  const [old, young] = [named('1', 1), named('2', 2)]
  const before = cipherOf(old).encrypt('kid', PLAIN)
  const after = cipherOf(young, old).encrypt('kid', PLAIN)
  t.match(before, /^v1\.1\.[\w-]{16}\.[\w-]+$/)
  t.match(after, /^v1\.2\.[\w-]{16}\.[\w-]+$/)
  const found: string[] = []
  const both = createCipher(
    {
      current: () => young,
      find(id) {
        found.push(id)
        return [old, young].find((key) => key.id === id)?.key
      },
    },
    systemRandom,
    NAMES,
  )
  t.same([both.decrypt('kid', before), both.decrypt('kid', after)], [PLAIN, PLAIN])
  t.same(found, ['1', '2'])
})

t.test('a ciphertext with the id of an unknown key is refused without trying to decrypt it', async (t) => {
  const text = cipherOf(named('9', 1)).encrypt('kid', PLAIN)
  t.throws(() => cipherOf(named('1', 1), named('2', 2)).decrypt('kid', text), {
    name: 'DecryptionError',
    message:
      'the flow kid cannot be decrypted: it is encrypted under the data key 9, which is not available here',
    cause: undefined,
  })
})

t.test('the key id is authenticated, so a ciphertext cannot be given the id of another key', async (t) => {
  const same = [named('1', 1), named('2', 1)]
  const text = cipherOf(...same).encrypt('kid', PLAIN)
  t.throws(() => cipherOf(...same).decrypt('kid', text.replace(/^v1\.1\./, 'v1.2.')), damaged('kid'))
  t.throws(() => cipherOf(named('1', 2)).decrypt('kid', text), damaged('kid'), 'nor another key with this id')
})

t.test('the ciphertext reveals nothing of the plaintext, and no two ciphertexts are equal', async (t) => {
  const texts = Array.from({ length: 1000 }, () => cipher.encrypt('kid', PLAIN))
  t.equal(new Set(texts.map((text) => text.split('.')[2])).size, 1000, 'a nonce is never used twice')
  t.notMatch(texts[0], /BEGIN|PRIVATE|MIGHAgEAMBMGByqGSM49/)
  t.notMatch(Buffer.from(texts[0]?.split('.')[3] ?? '', 'base64url').toString('latin1'), /BEGIN|PRIVATE/)
})

t.test('a ciphertext moved to another context does not decrypt (associated data)', async (t) => {
  const text = cipher.encrypt('kid', PLAIN)
  for (const context of ['other', '', 'kid ', 'KID'])
    t.throws(() => cipher.decrypt(context, text), damaged(context))
})

/** Those of `texts` that are decrypted; one assertion for each of thousands would take longer than all the rest. */
function decrypted(texts: Iterable<string>): string[] {
  const good: string[] = []
  for (const text of texts) {
    try {
      cipher.decrypt('kid', text)
      good.push(text)
    } catch (error) {
      if (!(error instanceof DecryptionError)) throw error
    }
  }
  return good
}

t.test('changing any character of the ciphertext makes decryption fail (docs/security.md Q8)', async (t) => {
  const text = cipher.encrypt('kid', PLAIN)
  const changed = [...text].flatMap((letter, i) =>
    ['A', 'B', 'v', '_', '.', '=', ' ', '\0']
      .filter((other) => other !== letter)
      .map((other) => text.slice(0, i) + other + text.slice(i + 1)),
  )
  t.ok(changed.length > 7 * text.length)
  t.same(decrypted(changed), [])
  t.same(decrypted([text]), [text])
})

t.test('flipping any bit of the ciphertext makes decryption fail', async (t) => {
  const [format, id, iv = '', body = ''] = cipher.encrypt('kid', PLAIN).split('.')
  const flips = (part: string) => {
    const bytes = Buffer.from(part, 'base64url')
    return Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const copy = Buffer.from(bytes)
      copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      return copy.toString('base64url')
    })
  }
  t.same(decrypted(flips(iv).map((flipped) => [format, id, flipped, body].join('.'))), [])
  t.same(decrypted(flips(body).map((flipped) => [format, id, iv, flipped].join('.'))), [])
})

t.test('a truncated or extended ciphertext does not decrypt (docs/security.md Q8)', async (t) => {
  const text = cipher.encrypt('kid', PLAIN)
  t.same(decrypted([...text].map((_, length) => text.slice(0, length))), [])
  const added = ['.', '.x', 'A', 'AAAA', '=', '\n', ' ']
  t.same(decrypted(added.flatMap((one) => [text + one, one + text])), [])
})

t.test('a tag of less than 16 bytes is refused', async (t) => {
  const [format, id, iv = '', body = ''] = cipher.encrypt('kid', '').split('.')
  t.equal(Buffer.from(body, 'base64url').length, 16)
  for (const length of [4, 8, 12, 15]) {
    const tag = Buffer.from(body, 'base64url').subarray(0, length).toString('base64url')
    t.throws(() => cipher.decrypt('kid', [format, id, iv, tag].join('.')), DecryptionError)
  }
})

t.test(
  'another master key does not decrypt a private key, and the message names the missing one (docs/security.md Q8)',
  async (t) => {
    const [one, other] = [masterKeysOf(Buffer.alloc(32, 1)), masterKeysOf(Buffer.alloc(32, 2))]
    const text = encryptPrivateKey(one, 'kid-1', PLAIN)
    t.equal(one.privateKeys.decrypt('kid-1', text), PLAIN)
    t.throws(() => other.privateKeys.decrypt('kid-1', text), {
      name: 'DecryptionError',
      message: `the private key kid-1 cannot be decrypted: it is encrypted under the master key ${one.list()[0]?.id}, which is not available here`,
    })
    t.throws(() => one.dataKeys.decrypt('kid-1', text), DecryptionError, 'a purpose has a key of its own')
  },
)

t.test('the error message names what is damaged and reveals nothing of its content', async (t) => {
  const message = 'the flow kid-1 cannot be decrypted: the text is damaged'
  t.throws(() => cipher.decrypt('kid-1', 'v1.AAAA.BBBB'), { name: 'DecryptionError', message })
})

t.test('each purpose has its own derived key (RFC 5869 §3.2)', async (t) => {
  const purposes = ['keyturn/private-keys/v1', 'keyturn/refresh-tokens/v1', 'keyturn/rate-limits/v1'] as const
  const keys = purposes.map((purpose) => deriveKey(Buffer.alloc(32, 1), purpose).export().toString('hex'))
  t.equal(new Set(keys).size, 3)
  for (const key of keys) t.equal(key.length, 64)
  t.notOk(keys.includes(Buffer.alloc(32, 1).toString('hex')))
})
