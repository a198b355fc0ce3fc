import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createDataKey, fixedDataKeys } from '../../src/keys/data-keys.ts'
import { deriveKey } from '../../src/keys/encryption.ts'
import { systemRandom } from '../../src/system.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { dataKeysOf } from '../support/server/keys.ts'

const codec = createRefreshTokenCodec(dataKeysOf(Buffer.alloc(32, 1)))
const PARTS = { clientSessionId: systemRandom.id(), generation: 42 }
const TOKEN = codec.write(PARTS)
const [, , SESSION = '', , MAC = ''] = TOKEN.split('.')

/** The texts that are accepted; one assertion for thousands of them. */
async function read(texts: Iterable<string>): Promise<string[]> {
  const all = [...texts]
  const parts = await Promise.all(all.map((text) => codec.read(text)))
  return all.filter((_, i) => parts[i] !== null)
}

/** With the MAC that belongs to exactly this text, as only the server itself could make it. */
function signed(clientSessionId: string, generation: string, id = '1'): string {
  const key = deriveKey(Buffer.alloc(32, 1), 'keyturn/refresh-tokens/v1')
  const mac = createHmac('sha256', key).update(`${id}.${clientSessionId}.${generation}`).digest('base64url')
  return `ktr.${id}.${clientSessionId}.${generation}.${mac}`
}

t.test('a written token is read by every process with the same data key', async (t) => {
  const other = createRefreshTokenCodec(dataKeysOf(Buffer.alloc(32, 1)))
  const generations = fc.integer({ min: 1, max: 9_999_999_999 })
  const ids = fc
    .uint8Array({ minLength: 20, maxLength: 20 })
    .map((id) => Buffer.from(id).toString('base64url'))
  await fc.assert(
    fc.asyncProperty(ids, generations, async (clientSessionId, generation) => {
      const token = codec.write({ clientSessionId, generation })
      const parts = await other.read(token)
      return parts?.clientSessionId === clientSessionId && parts.generation === generation
    }),
  )
  t.same(await other.read(TOKEN), PARTS)
})

t.test(
  'the same generation always gives the same text, so that a retry gets the lost successor',
  async (t) => {
    t.equal(codec.write(PARTS), TOKEN)
    t.equal(signed(PARTS.clientSessionId, '42'), TOKEN)
  },
)

t.test('a token changed in any character is refused', async (t) => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \0'
  const changed = [...TOKEN].flatMap((old, i) =>
    [...letters].filter((one) => one !== old).map((one) => TOKEN.slice(0, i) + one + TOKEN.slice(i + 1)),
  )
  t.ok(changed.length > 5000)
  t.same(await read(changed), [])
})

t.test('a truncated or extended token is refused', async (t) => {
  t.same(await read([...TOKEN].map((_, length) => TOKEN.slice(0, length))), [])
  const added = ['.', 'A', '=', ' ', '\n', '\0', '.x', TOKEN]
  t.same(await read(added.flatMap((text) => [TOKEN + text, text + TOKEN])), [])
})

t.test('another spelling of the same bytes is refused', async (t) => {
  const last = MAC.slice(-1)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spellings = [...alphabet]
    .filter(
      (one) =>
        one !== last &&
        Buffer.from(MAC.slice(0, -1) + one, 'base64url').equals(Buffer.from(MAC, 'base64url')),
    )
    .map((one) => TOKEN.slice(0, -1) + one)
  t.equal(spellings.length, 3, 'two spare bits')
  t.same(
    await read(
      [...spellings, `${TOKEN}=`, TOKEN.replaceAll('-', '+').replaceAll('_', '/')].filter(
        (one) => one !== TOKEN,
      ),
    ),
    [],
  )
})

t.test('a token under another data key, or MACed with the data key itself, is refused', async (t) => {
  t.equal(await createRefreshTokenCodec(dataKeysOf(Buffer.alloc(32, 2))).read(TOKEN), null)
  const direct = createHmac('sha256', Buffer.alloc(32, 1)).update(`1.${SESSION}.42`).digest('base64url')
  t.equal(await codec.read(`ktr.1.${SESSION}.42.${direct}`), null)
})

t.test('a generation has one spelling and lies between one and ten digits', async (t) => {
  const bad = ['0', '00', '042', '-1', '+1', '1.0', '1e3', ' 1', '', '99999999999', '1_0', '٤٢', '0x1']
  t.same(await read(bad.map((generation) => signed(SESSION, generation))), [], 'not even with the right MAC')
  t.same((await read([signed(SESSION, '1'), signed(SESSION, '9999999999')])).length, 2)
})

t.test('a MAC is not valid for another session or generation', async (t) => {
  t.same(
    await read([
      `ktr.1.${SESSION}.41.${MAC}`,
      `ktr.1.${SESSION}.43.${MAC}`,
      `ktr.1.${systemRandom.id()}.42.${MAC}`,
    ]),
    [],
  )
  // The parts cannot be shifted into each other.
  t.same(
    await read([`ktr.1.${SESSION}4.2.${MAC}`, `ktr.${SESSION.slice(0, -1)}.${SESSION.slice(-1)}42.${MAC}`]),
    [],
  )
})

t.test('no input makes the parser throw', async (t) => {
  const texts = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1'))
  await fc.assert(fc.asyncProperty(texts, async (text) => (await codec.read(text)) === null))
  t.equal(await codec.read('x'.repeat(1_000_000)), null)
})

t.test(
  'a token consists of VSCHAR and has a prefix for secret scanners (RFC 6749 §A.17; docs/security.md A13)',
  async (t) => {
    t.match(TOKEN, /^[\x20-\x7E]+$/)
    t.match(TOKEN, /^ktr\.1\.[A-Za-z0-9_-]{27}\.42\.[A-Za-z0-9_-]{43}$/)
  },
)

t.test(
  'ten thousand tokens each have 160 random bits and a 256-bit MAC, and all differ (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    const tokens = Array.from({ length: 10_000 }, () =>
      codec.write({ clientSessionId: systemRandom.id(), generation: 1 }),
    )
    t.equal(new Set(tokens).size, 10_000)
    const ids = tokens.map((token) => token.split('.')[2] ?? '')
    for (const id of ids.slice(0, 100)) t.equal(Buffer.from(id, 'base64url').length * 8, 160)
    // No character of an id is constant, and none is excluded: nearly every character occurs at each position.
    for (let place = 0; place < 26; place += 1) {
      t.ok(new Set(ids.map((id) => id[place])).size === 64, `position ${place}`)
    }
  },
)

t.test('with two data keys tokens of both are read, and new ones use the newer key', async (t) => {
  const [old, young] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const both = createRefreshTokenCodec(dataKeysOf(young, old))
  const younger = createRefreshTokenCodec(fixedDataKeys(createDataKey(2, young)))
  t.same(await both.read(TOKEN), PARTS)
  const written = both.write(PARTS)
  t.same(await both.read(written), PARTS)
  t.same(await younger.read(written), PARTS)
  t.equal(await codec.read(written), null)
  t.equal(await younger.read(TOKEN), null, 'once the old one is gone')
})

t.test('a token that names an unknown data key is refused without an HMAC or the store', async (t) => {
  let macs = 0
  const dataKeys = dataKeysOf(Buffer.alloc(32, 1))
  const [dataKey] = dataKeys.valid()
  if (!dataKey) throw new Error('no data key')
  const counting: typeof dataKey = {
    ...dataKey,
    key(purpose) {
      macs += 1
      return dataKey.key(purpose)
    },
  }
  const counted = createRefreshTokenCodec({ ...dataKeys, valid: () => [counting] })
  t.same(await counted.read(TOKEN), PARTS)
  t.equal(macs, 1)
  for (const id of ['2', '10', '999999999']) t.equal(await counted.read(signed(SESSION, '42', id)), null, id)
  for (const id of ['', '0', '01', '-1', '1 ', 'x', '1e1', '9999999999'])
    t.equal(await counted.read(signed(SESSION, '42', id)), null, `"${id}" is not written like an id`)
  t.equal(macs, 1)
})
