import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { createSealer } from '../../src/keys/encryption.ts'
import { createFlowCodec, type Flow } from '../../src/oauth/authorize/flow.ts'
import { FLOW_TTL } from '../../src/oauth/lifetimes.ts'
import { systemRandom } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'

const clock = testClock()
const codec = createFlowCodec({ sealer: createSealer(randomBytes(32), systemRandom), clock })
const flow: Flow = {
  arrivedAt: clock.now(),
  request: [
    ['client_id', 'web'],
    ['state', '🔑 "\\\n'],
    ['scope', 'openid'],
  ],
  reauthenticated: { signInId: 's', authTime: clock.now() },
}
const sealed = (what: Flow, browser = 'mine'): string => {
  const text = codec.seal(what, browser)
  if (text === null) throw new Error('too long')
  return text
}

t.test(
  'a flow value is restored unchanged, in its own browser only (RFC 6749 §10.12; docs/security.md C41, P22)',
  async (t) => {
    const text = sealed(flow)
    t.same(codec.open(text, 'mine'), flow)
    for (const browser of ['', 'Mine', 'mine ', 'yours', 'arrival']) t.equal(codec.open(text, browser), null)
    t.match(text, /^[\w.-]+$/, 'safe in a URL')
    t.not(sealed(flow), text, 'and never the same twice')
    for (const secret of ['web', 'openid', 'client_id']) {
      t.notOk(Buffer.from(text, 'base64url').includes(secret), 'and is not readable')
    }
  },
)

t.test('a modified flow value is refused (RFC 6749 §10.12; docs/security.md P22)', async (t) => {
  const text = sealed(flow)
  for (let i = 0; i < text.length; i += 1) {
    const changed = text.slice(0, i) + (text[i] === 'A' ? 'g' : 'A') + text.slice(i + 1)
    // The last character may have bits without meaning: then it is the same flow value.
    const opened = codec.open(changed, 'mine')
    if (i === text.length - 1 && opened !== null) t.same(opened, flow)
    else t.equal(opened, null, `at ${i}`)
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
    t.equal(codec.open(other, 'mine'), null)
  }
  const elsewhere = createFlowCodec({ sealer: createSealer(randomBytes(32), systemRandom), clock })
  t.equal(elsewhere.open(text, 'mine'), null, 'another master key')
})

t.test('a flow value expires after an hour', async (t) => {
  const text = sealed({ ...flow, arrivedAt: clock.now() })
  clock.tick(FLOW_TTL)
  t.ok(codec.open(text, 'mine'))
  clock.tick(1)
  t.equal(codec.open(text, 'mine'), null)
  t.equal(codec.open(sealed({ arrivedAt: clock.now() + 61 }), 'mine'), null, 'nor is one from the future')
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
      const text = codec.seal(carried, 'mine')
      if (text === null) continue
      longest = Math.max(longest, text.length)
      t.ok(isDeepStrictEqual(codec.open(text, 'mine'), carried), `${label} ${length}`)
      t.ok(text.length <= 12_000, `${label} ${length}: fits into 16 KiB of header, with cookies`)
    }
    t.ok(longest > 4000, `${label}: ${longest}`)
  }
})
