import t from 'tap'
import {
  activeKey,
  automaticRotationAt,
  cacheControl,
  createRing,
  isPublished,
  isSafe,
  jwks,
  leavesAt,
  type NewKey,
  nextChange,
  nextKey,
  plan,
  type RingPolicy,
  retire,
  revoke,
  rotate,
  SKEW,
  safeFrom,
} from '../../src/keys/ring.ts'
import type { KeyState, Ring, RingKey } from '../../src/store/contracts/ring.ts'
import { DAY, HOUR, POLICY } from '../support/server/keys.ts'

const key = (kid: string): NewKey => ({
  kid,
  alg: 'ES256',
  publicJwk: { kty: 'EC', crv: 'P-256', x: kid, y: kid },
  encryptedPrivateKey: `encrypted ${kid}`,
})

const [A, B, C, D] = [key('a'), key('b'), key('c'), key('d')]
const T = 1_000_000

/** a is active and b is next, both from the start. */
const first = createRing([{ active: A, next: B }], T)
/** b is active, c is next, a is retiring. */
const second = rotate(first, [C], T + HOUR)

const states = (ring: Ring) => Object.fromEntries(ring.keys.map((one) => [one.kid, one.state]))
const find = (ring: Ring, kid: string) => ring.keys.find((one) => one.kid === kid) as RingKey
/** As the store records it when a token is signed. */
const needed = (ring: Ring, kid: string, tokensUntil: number): Ring => ({
  ...ring,
  keys: ring.keys.map((one) => (one.kid === kid ? { ...one, tokensUntil } : one)),
})

t.test('the first key ring publishes an active and a next key together in version 1', async (t) => {
  t.equal(first.version, 1)
  t.equal(first.createdAt, T)
  t.same(states(first), { a: 'active', b: 'next' })
  t.match(find(first, 'a'), { signsFrom: T, publishedAt: T, publishedIn: 1, tokensUntil: 0, stoppedAt: null })
  t.match(find(first, 'b'), { signsFrom: null, publishedAt: T, publishedIn: 1, leftAt: null })
  t.equal(activeKey(first).kid, 'a')
  t.equal(nextKey(first).kid, 'b')
})

t.test(
  'rotate makes the next key active, retires the active one, publishes a new next key and increments the version',
  async (t) => {
    t.equal(second.version, 2)
    t.equal(second.createdAt, T)
    t.same(states(second), { a: 'retiring', b: 'active', c: 'next' })
    t.match(find(second, 'b'), { signsFrom: T + HOUR, publishedAt: T })
    t.match(find(second, 'c'), { publishedAt: T + HOUR, publishedIn: 2, createdAt: T + HOUR })
  },
)

t.test('rotate erases the private key of the retiring key in the same step', async (t) => {
  t.match(find(second, 'a'), { encryptedPrivateKey: null, stoppedAt: T + HOUR, leftAt: null })
  t.equal(find(second, 'b').encryptedPrivateKey, 'encrypted b')
  t.equal(find(second, 'c').encryptedPrivateKey, 'encrypted c')
})

t.test('each step returns a new key ring and leaves the given one unchanged', async (t) => {
  const before = structuredClone(second)
  rotate(second, [D], T + DAY)
  revoke(second, 'b', D, T + DAY)
  retire(second, T + DAY)
  t.same(second, before)
})

t.test(
  'a retiring key is removed when the last token it signed has expired, plus skew (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const until = T + 3 * HOUR
    const ring = needed(second, 'a', until)
    t.equal(leavesAt(find(ring, 'a')), until + SKEW)
    t.equal(plan(ring, until + SKEW, POLICY).action, 'none', 'in that second it is still there')
    t.equal(plan(ring, until + SKEW + 1, POLICY).action, 'retire')

    const removed = retire(ring, until + SKEW + 1)
    t.same(states(removed), { a: 'retired', b: 'active', c: 'next' })
    t.match(find(removed, 'a'), { leftAt: until + SKEW + 1, encryptedPrivateKey: null, stoppedAt: T + HOUR })
    t.equal(removed.version, 3)
    t.equal(leavesAt(find(removed, 'a')), until + SKEW + 1, 'afterwards it records when it was removed')
  },
)

t.test('a key that signed nothing is removed after the skew', async (t) => {
  t.equal(leavesAt(find(second, 'a')), T + HOUR + SKEW)
})

t.test('only a retiring key can be due for removal', async (t) => {
  t.equal(leavesAt(find(second, 'b')), null)
  t.equal(leavesAt(find(second, 'c')), null)
  const ring = needed(second, 'a', T + 30 * DAY)
  t.same(states(retire(ring, T + 20 * DAY)), states(ring))
})

t.test('several keys can retire at once, each with its own removal time', async (t) => {
  const third = needed(needed(rotate(second, [D], T + 2 * HOUR), 'a', T + 9 * HOUR), 'b', T + 4 * HOUR)
  t.same(states(third), { a: 'retiring', b: 'retiring', c: 'active', d: 'next' })
  const later = retire(third, T + 4 * HOUR + SKEW + 1)
  t.same(states(later), { a: 'retiring', b: 'retired', c: 'active', d: 'next' })
})

t.test(
  'revoking the active key removes it at once and promotes the next key, which every verifier has',
  async (t) => {
    const ring = revoke(second, 'b', D, T + 2 * HOUR)
    t.same(states(ring), { a: 'retiring', b: 'revoked', c: 'active', d: 'next' })
    t.match(find(ring, 'b'), { leftAt: T + 2 * HOUR, stoppedAt: T + 2 * HOUR, encryptedPrivateKey: null })
    t.match(find(ring, 'c'), { signsFrom: T + 2 * HOUR })
    t.match(find(ring, 'd'), { publishedAt: T + 2 * HOUR, publishedIn: 3 })
  },
)

t.test('revoking the next key leaves the active one and publishes another next key', async (t) => {
  const ring = revoke(second, 'c', D, T + 2 * HOUR)
  t.same(states(ring), { a: 'retiring', b: 'active', c: 'revoked', d: 'next' })
  t.match(find(ring, 'c'), { encryptedPrivateKey: null, stoppedAt: null, leftAt: T + 2 * HOUR })
  t.equal(find(ring, 'b').signsFrom, T + HOUR)
})

t.test('revoking a retiring key needs no other key', async (t) => {
  const ring = revoke(second, 'a', null, T + 2 * HOUR)
  t.same(states(ring), { a: 'revoked', b: 'active', c: 'next' })
  t.match(find(ring, 'a'), { leftAt: T + 2 * HOUR, stoppedAt: T + HOUR })
})

t.test('only a published key can be revoked', async (t) => {
  const removed = retire(second, T + DAY)
  t.throws(() => revoke(removed, 'a', D, T + DAY), /a is not in the JWKS/)
  t.throws(() => revoke(second, 'x', D, T + DAY), /x is not in the JWKS/)
  t.throws(() => revoke(revoke(second, 'b', D, T), 'b', key('e'), T), /b is not in the JWKS/)
})

t.test('next, active and retiring keys are published, and retired and revoked ones are not', async (t) => {
  const published: Record<KeyState, boolean> = {
    next: true,
    active: true,
    retiring: true,
    retired: false,
    revoked: false,
  }
  for (const [state, expected] of Object.entries(published)) {
    t.equal(isPublished({ ...find(first, 'a'), state: state as KeyState }), expected, state)
  }
  const kids = (ring: Ring) => jwks(ring).keys.map((one) => one.kid)
  t.same(kids(first), ['a', 'b'])
  t.same(kids(second), ['a', 'b', 'c'])
  t.same(kids(revoke(second, 'b', D, T)), ['a', 'c', 'd'])
  t.same(kids(retire(second, T + DAY)), ['b', 'c'])
})

t.test('a key ring must have exactly one active and one next key', async (t) => {
  const two = { ...first, keys: [...first.keys, find(first, 'a')] }
  t.throws(() => activeKey(two), /2 active keys/)
  t.throws(() => nextKey({ ...first, keys: [] }), /0 next keys/)
})

t.test(
  'the first rotation after installation is always safe, because no JWKS was served without the next key',
  async (t) => {
    t.equal(safeFrom(first, POLICY), T)
    t.ok(isSafe(first, T, POLICY))
  },
)

t.test(
  'any other rotation is safe once the next key has been published for the verifier cache time',
  async (t) => {
    t.equal(safeFrom(second, POLICY), T + HOUR + DAY)
    t.notOk(isSafe(second, T + HOUR + DAY - 1, POLICY))
    t.ok(isSafe(second, T + HOUR + DAY, POLICY))
    t.ok(isSafe(second, T + HOUR, { verifierCache: 0 }))
  },
)

t.test('after a revocation the publication time of the new next key counts', async (t) => {
  const ring = revoke(first, 'b', C, T + 9)
  t.equal(safeFrom(ring, POLICY), T + 9 + DAY)
})

t.test(
  'the key ring rotates automatically when the active key is old enough and rotation is safe',
  async (t) => {
    const at = (ring: Ring, policy: Partial<RingPolicy> = {}) =>
      automaticRotationAt(ring, { ...POLICY, ...policy })
    t.equal(at(first), T + 30 * DAY)
    t.equal(at(second), T + HOUR + 30 * DAY, 'counted from its activation')
    t.equal(at(second, { keyRotation: HOUR }), T + HOUR + DAY, 'a verifier may not have the next key yet')
    t.equal(at(second, { keyRotation: null }), null)

    t.equal(plan(first, T + 30 * DAY - 1, POLICY).action, 'none')
    t.equal(plan(first, T + 30 * DAY, POLICY).action, 'rotate')
    t.equal(plan(first, T + 999 * DAY, { ...POLICY, keyRotation: null }).action, 'none')
  },
)

t.test('a key due for removal is removed before a due rotation', async (t) => {
  t.equal(plan(second, T + 99 * DAY, POLICY).action, 'retire')
  t.equal(plan(retire(second, T + 99 * DAY), T + 99 * DAY, POLICY).action, 'rotate')
})

t.test('the next change is the first removal or the automatic rotation, whichever comes first', async (t) => {
  t.equal(nextChange(first, POLICY), T + 30 * DAY)
  t.equal(nextChange(second, POLICY), T + HOUR + SKEW)
  t.equal(nextChange(needed(second, 'a', T + 90 * DAY), POLICY), T + HOUR + 30 * DAY)
  t.equal(nextChange(first, { ...POLICY, keyRotation: null }), null)
})

t.test('max-age is the setting or the time to the next change, whichever is shorter', async (t) => {
  t.equal(cacheControl(first, T, POLICY), 'public, max-age=300')
  const change = nextChange(second, POLICY) as number
  t.equal(cacheControl(second, change - 300, POLICY), 'public, max-age=300')
  t.equal(cacheControl(second, change - 299, POLICY), 'public, max-age=299')
  t.equal(cacheControl(second, change, POLICY), 'public, max-age=0')
  t.equal(cacheControl(second, change + 5, POLICY), 'public, max-age=0', 'never negative')
  t.equal(cacheControl(first, T + 999 * DAY, { ...POLICY, keyRotation: null }), 'public, max-age=300')
})

t.test(
  'after a revocation nothing is cacheable for as long as a cache may hold the revoked key',
  async (t) => {
    const ring = revoke(first, 'b', C, T)
    t.equal(cacheControl(ring, T, POLICY), 'no-cache')
    t.equal(cacheControl(ring, T + DAY - 1, POLICY), 'no-cache')
    t.equal(cacheControl(ring, T + DAY, POLICY), 'public, max-age=300')
  },
)
