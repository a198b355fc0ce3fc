import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { createTransitCipher } from '../../src/keys/data-keys.ts'
import { createFlowCodec, type Flow } from '../../src/oauth/authorize/flow.ts'
import { FLOW_TTL } from '../../src/oauth/lifetimes.ts'
import { systemRandom } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'
import { dataKeysOf } from '../support/server/keys.ts'

const clock = testClock()
const newCodec = () =>
  createFlowCodec({
    cipher: createTransitCipher(dataKeysOf(randomBytes(32)), systemRandom, {
      purpose: 'keyturn/flows/v1',
      what: 'the flow',
    }),
    clock,
  })
const codec = newCodec()
const flow: Flow = {
  arrivedAt: clock.now(),
  request: [
    ['client_id', 'web'],
    ['state', '🔑 "\\\n'],
    ['scope', 'openid'],
  ],
  reauthenticated: { userSessionId: 's', authTime: clock.now() },
}
const encrypt = (what: Flow, browser = 'mine'): string => {
  const text = codec.encrypt(what, browser)
  if (text === null) throw new Error('too long')
  return text
}

t.test(
  'a flow value is restored unchanged, in its own browser only (RFC 6749 §10.12; docs/security.md C41, P22)',
  async (t) => {
    const text = encrypt(flow)
    t.same(codec.decrypt(text, 'mine'), flow)
    for (const browser of ['', 'Mine', 'mine ', 'yours', 'arrival'])
      t.equal(codec.decrypt(text, browser), null)
    t.match(text, /^[\w.-]+$/, 'fit for a URL')
    t.not(encrypt(flow), text, 'no two values are equal')
    for (const secret of ['web', 'openid', 'client_id']) {
      t.notOk(Buffer.from(text, 'base64url').includes(secret), 'the value is not readable')
    }
  },
)

t.test('a modified flow value is refused (RFC 6749 §10.12; docs/security.md P22)', async (t) => {
  const text = encrypt(flow)
  for (let i = 0; i < text.length; i += 1) {
    const changed = text.slice(0, i) + (text[i] === 'A' ? 'g' : 'A') + text.slice(i + 1)
    // The last letter may have bits that mean nothing: then it is the same flow.
    const decrypted = codec.decrypt(changed, 'mine')
    if (i === text.length - 1 && decrypted !== null) t.same(decrypted, flow)
    else t.equal(decrypted, null, `at ${i}`)
  }
  for (const other of [
    '',
    'x',
    text.slice(1),
    text.slice(0, -8),
    text + text,
    '..',
    `${text.slice(0, 40)}\0`,
  ]) {
    t.equal(codec.decrypt(other, 'mine'), null)
  }
  const elsewhere = newCodec()
  t.equal(elsewhere.decrypt(text, 'mine'), null, 'another data key')
})

t.test('a flow value expires after an hour', async (t) => {
  const text = encrypt({ ...flow, arrivedAt: clock.now() })
  clock.tick(FLOW_TTL)
  t.ok(codec.decrypt(text, 'mine'))
  clock.tick(1)
  t.equal(codec.decrypt(text, 'mine'), null)
  t.equal(
    codec.decrypt(encrypt({ arrivedAt: clock.now() + 61 }), 'mine'),
    null,
    'a value from the future is refused',
  )
})

t.test('a flow value too large for a URL is not issued, and every issued one can be read', async (t) => {
  // The least compressible: random text of one, two, three and four bytes per character.
  const letters: Record<string, (random: number) => string> = {
    base64: (random) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[random % 64] ?? '',
    Greek: (random) => String.fromCharCode(0x370 + (random % 256)),
    Chinese: (random) => String.fromCharCode(0x4e00 + (random % 20_000)),
    emoji: (random) => String.fromCodePoint(0x1f300 + (random % 256)),
  }
  for (const [label, letter] of Object.entries(letters)) {
    let longest = 0
    for (let length = 500; length <= 12_000; length += 500) {
      const state = Array.from(new Uint16Array(randomBytes(2 * length).buffer), letter).join('')
      const carried: Flow = { ...flow, arrivedAt: clock.now(), request: [['state', state]] }
      const text = codec.encrypt(carried, 'mine')
      if (text === null) continue
      longest = Math.max(longest, text.length)
      t.ok(isDeepStrictEqual(codec.decrypt(text, 'mine'), carried), `${label} ${length}`)
      t.ok(text.length <= 12_000, `${label} ${length}: fits into 16 KiB of header, with cookies`)
    }
    t.ok(longest > 4000, `${label}: ${longest}`)
  }
})
