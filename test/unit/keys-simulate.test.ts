/** The simulation of `keys simulate`, above all that it agrees with a model that walks second by second. */
import fc from 'fast-check'
import t from 'tap'
import * as ringRules from '../../src/keys/ring.ts'
import { createRing, isPublished, type NewKey, type RingPolicy, rotate } from '../../src/keys/ring.ts'
import { KeyNotFound } from '../../src/keys/rotate.ts'
import { type Scenario, type SimulatedAction, type Simulation, simulate } from '../../src/keys/simulate.ts'
import type { Ring, RingKey } from '../../src/store/contracts/ring.ts'
import type { ListedVerifier } from '../../src/store/contracts/verifiers.ts'
import { DAY, HOUR, MINUTE } from '../support/server/keys.ts'

const T0 = 1_700_000_000
const POLICY: RingPolicy = { verifierCache: DAY, keyRotation: 30 * DAY, jwksMaxAge: 5 * MINUTE }

const key = (kid: string): NewKey => ({
  kid,
  alg: 'RS256',
  publicJwk: { kty: 'RSA' },
  encryptedPrivateKey: 'x',
})
const first = (at = T0): Ring => createRing([{ active: key('a'), next: key('b') }], at)
/** `b` signs and `c` was published when it began to. */
const rotated = (at = T0 + HOUR): Ring => rotate(first(), [key('c')], at)

const scenario = (changes: Partial<Scenario> = {}): Scenario => ({
  ring: first(),
  policy: POLICY,
  known: [],
  actions: [],
  tokenLifetime: 11 * MINUTE,
  automatic: 1,
  now: T0 + 2 * HOUR,
  ...changes,
})
const verifier = (name: string, changes: Partial<ListedVerifier> = {}): ListedVerifier => ({
  name,
  instance: 'i',
  ringVersion: 1,
  seenAt: T0 + HOUR - 1,
  expected: false,
  ...changes,
})
const rotation = (force = false): SimulatedAction => ({ do: 'rotate', force })
const revocation = (kid: string): SimulatedAction => ({ do: 'revoke', kid })
const events = ({ moments }: Simulation, event: string) => moments.filter((one) => one.event === event)

t.test('without actions the next automatic rotation is shown, and no verifier fails', async (t) => {
  const simulation = simulate(scenario())
  t.match(simulation.moments[0], {
    at: T0 + 2 * HOUR,
    event: 'start',
    active: 'a',
    next: 'b',
    published: ['a', 'b'],
  })
  t.match(
    simulation.moments.slice(1),
    [
      {
        event: 'rotated',
        reason: 'automatic',
        kid: 'b',
        at: T0 + 30 * DAY,
        published: ['a', 'b', 'new-1'],
        cacheControl: 'public, max-age=300',
      },
      { event: 'retired', kid: 'a', at: T0 + 30 * DAY + 12 * MINUTE + 1, published: ['b', 'new-1'] },
    ],
    'placeholders have names that no key can have',
  )
  t.same(simulation.failing, [])
})

/** `a` and `b` of RS256 from the start, and `x` and `y` of ES256, which were published an hour later. */
const twoLanes = (): Ring =>
  ringRules.addLane(
    first(),
    { active: { ...key('x'), alg: 'ES256' }, next: { ...key('y'), alg: 'ES256' } },
    T0 + HOUR,
    POLICY,
  )

t.test('each lane rotates by its own age, and a new lane that nothing uses fails no verifier', async (t) => {
  const simulation = simulate(scenario({ ring: twoLanes() }))
  t.match(simulation.moments[0], { active: 'a', next: 'b', signing: ['a', 'x'] })
  t.match(events(simulation, 'rotated'), [
    { kid: 'b', at: T0 + 30 * DAY, signing: ['b', 'x'] },
    { kid: 'y', at: T0 + HOUR + 31 * DAY, signing: ['b', 'y'] },
  ])
  t.same(simulation.failing, [])
})

t.test('a rotation of one lane waits for that lane only, and one of all lanes for all', async (t) => {
  const now = T0 + 2 * HOUR
  const at = (lane?: string) => {
    const action = { ...rotation(), ...(lane === undefined ? {} : { lane }) } as SimulatedAction
    const simulation = simulate(scenario({ ring: twoLanes(), actions: [action], now }))
    t.same(simulation.failing, [])
    const requested = events(simulation, 'rotated').filter(
      (one) => 'reason' in one && one.reason === 'requested',
    )
    return requested.map((one) => ['kid' in one ? one.kid : '', one.at])
  }
  t.same(at('RS256'), [['b', now]])
  t.same(at('ES256'), [['y', T0 + HOUR + DAY]])
  t.same(at(), [
    ['b', T0 + HOUR + DAY],
    ['y', T0 + HOUR + DAY],
  ])
  t.throws(() => at('PS256'), { name: 'LaneNotFound' })
})

t.test('a requested rotation waits until it is safe, and then no verifier fails', async (t) => {
  const now = T0 + 2 * HOUR
  const simulation = simulate(scenario({ ring: rotated(), actions: [rotation()] }))
  const safeFrom = T0 + HOUR + DAY
  t.match(events(simulation, 'rotation_waits'), [{ at: now, until: safeFrom, behind: [], active: 'b' }])
  t.match(events(simulation, 'rotated')[0], { at: safeFrom, reason: 'requested', kid: 'c' })
  t.same(simulation.failing, [])
})

t.test('a forced rotation fails for verifiers with an older JWKS until their cache expires', async (t) => {
  const now = T0 + 2 * HOUR
  const known = [
    verifier('behind'),
    verifier('current', { ringVersion: 2, seenAt: T0 + HOUR }),
    verifier('gone', { seenAt: now - DAY - 1 }),
  ]
  const simulation = simulate(scenario({ ring: rotated(), actions: [rotation(true)], known }))
  const until = T0 + HOUR + DAY
  t.same(simulation.failing, [
    { verifier: { name: 'behind', instance: 'i' }, kid: 'c', from: now, until },
    { verifier: null, kid: 'c', from: now, until },
  ])
  t.same(simulation.moments[0]?.failing, [], 'not at the start, in the same second')
  t.equal(events(simulation, 'rotated')[0]?.failing.length, 2)
  t.match(events(simulation, 'accepted_everywhere'), [{ at: until, kid: 'c', failing: [] }])
})

t.test('an expected verifier that is behind delays a rotation until its cache has expired', async (t) => {
  // Another node served the old JWKS for another second.
  const known = [verifier('orders', { seenAt: T0 + HOUR + 1, expected: true })]
  const simulation = simulate(scenario({ ring: rotated(), actions: [rotation()], known }))
  const until = T0 + HOUR + DAY + 2
  t.match(events(simulation, 'rotation_waits'), [{ until, behind: ['orders'] }])
  t.match(events(simulation, 'rotated')[0], { at: until, kid: 'c' })
})

t.test('automatic rotations that are due before they are safe are later than the setting says', async (t) => {
  const policy = { ...POLICY, keyRotation: HOUR }
  const simulation = simulate(scenario({ policy, automatic: 3 }))
  const times = events(simulation, 'rotated').map(({ at }) => at)
  t.same(times.slice(0, 3), [T0 + 2 * HOUR, T0 + 2 * HOUR + DAY, T0 + 2 * HOUR + 2 * DAY])
  t.same(simulation.failing, [])
})

t.test(
  'a revocation: tokens are refused as they must be, caches accept the key, good tokens are safe',
  async (t) => {
    const now = T0 + 2 * HOUR
    const known = [verifier('orders', { seenAt: now - 60 }), verifier('quiet', { seenAt: now - DAY - 1 })]
    const simulation = simulate(scenario({ actions: [revocation('a')], known }))
    t.match(events(simulation, 'revoked'), [
      { at: now, kid: 'a', active: 'b', next: 'new-1', published: ['b', 'new-1'], cacheControl: 'no-cache' },
    ])
    t.same(simulation.revokedTokens, [{ kid: 'a', from: now, until: now + 11 * MINUTE }])
    t.same(simulation.exposed, [
      { verifier: { name: 'orders', instance: 'i' }, kid: 'a', from: now, until: now - 60 + DAY },
      { verifier: null, kid: 'a', from: now, until: now + DAY },
    ])
    t.match(events(simulation, 'exposure_ended'), [{ at: now + DAY, kid: 'a', exposed: [] }])
    t.same(simulation.failing, [])
  },
)

t.test('revoking the active key while the next key is not known everywhere fails', async (t) => {
  const now = T0 + 2 * HOUR
  const simulation = simulate(scenario({ ring: rotated(), actions: [revocation('b')] }))
  t.same(simulation.failing, [{ verifier: null, kid: 'c', from: now, until: T0 + HOUR + DAY }])
})

t.test(
  'actions are performed in the given order, and a rotation that waits does not delay a revocation',
  async (t) => {
    const now = T0 + 2 * HOUR
    const first = simulate(scenario({ actions: [rotation(), revocation('a')] }))
    t.match(events(first, 'rotated')[0], { at: now, kid: 'b' })
    t.match(events(first, 'revoked'), [{ at: now, kid: 'a', active: 'b', next: 'new-1' }])
    const second = simulate(scenario({ actions: [revocation('a'), rotation()] }))
    t.match(events(second, 'rotated')[0], { at: now + DAY, kid: 'new-1' })
    t.throws(() => simulate(scenario({ actions: [revocation('z')] })), KeyNotFound)
    t.throws(() => simulate(scenario({ actions: [revocation('a'), revocation('a')] })), KeyNotFound)
  },
)

t.test(
  'without automatic rotation the simulation ends when the requested actions have had their effect',
  async (t) => {
    const policy = { ...POLICY, keyRotation: null }
    t.match(simulate(scenario({ policy })).moments, [{ event: 'start' }])
    const { moments, until } = simulate(scenario({ policy, actions: [rotation()] }))
    t.match(
      moments.map(({ event }) => event),
      ['start', 'rotated', 'retired'],
    )
    t.equal(until, moments.at(-1)?.at)
  },
)

t.test(
  'a ring that changes all the time ends the simulation after a bounded number of changes',
  async (t) => {
    const policy = { ...POLICY, verifierCache: 0, keyRotation: MINUTE }
    const { moments } = simulate(scenario({ policy, tokenLifetime: 3650 * DAY }))
    t.ok(moments.length > 100 && moments.length < 300, `${moments.length} moments`)
  },
)

/** Everything that happens in a walk: for each second, which verifiers refuse which keys, and which accept a revoked key. */
interface Walk {
  readonly refusing: ReadonlySet<string>
  readonly accepting: ReadonlySet<string>
  readonly rotations: readonly string[]
}

/** A JWKS that was fetched in the second of a change, before the change, counts as fetched in the second before. */
interface Fetched {
  readonly at: number
  readonly kids: ReadonlySet<string>
}

interface Cached extends Fetched {
  readonly who: string
}

const kidsOf = (one: Ring) => new Set(one.keys.filter(isPublished).map(({ kid }) => kid))

/**
 * Polls the ring every second. Every second one token is signed, every known verifier and one stranger fetch the JWKS, and every
 * JWKS that a cache can still have is tried with every token that is alive.
 */
function walk(
  { ring: start, policy, known, actions, tokenLifetime, now }: Scenario,
  earlier: readonly Fetched[],
  until: number,
): Walk {
  const refusing = new Set<string>()
  const accepting = new Set<string>()
  const rotations: string[] = []
  const { verifierCache } = policy
  let ring = start
  let waiting = 0
  let created = 0
  /** The kids of an older version: all keys that were published by then. Keys that have left since make no difference. */
  const kidsIn = (version: number) =>
    new Set(start.keys.filter(({ publishedIn }) => publishedIn <= version).map(({ kid }) => kid))
  const strangers: Cached[] = earlier.map((one) => ({ who: 'stranger', ...one }))
  for (let at = Math.max(start.createdAt, now - verifierCache - 1); at < now; at += 1) {
    const kids = start.keys.filter(
      ({ publishedAt, leftAt }) => publishedAt <= at && (leftAt === null || at < leftAt),
    )
    strangers.push({ who: 'stranger', at, kids: new Set(kids.map(({ kid }) => kid)) })
  }
  const caches: Cached[] = [
    ...strangers,
    ...known.map(({ name, seenAt, ringVersion }) => ({ who: name, at: seenAt, kids: kidsIn(ringVersion) })),
  ]
  const living = new Set(known.filter(({ seenAt }) => now - seenAt <= verifierCache).map(({ name }) => name))
  /** kid → the last moment at which a token that it signed is good. */
  const tokens = new Map<string, number>()
  for (const { kid, signsFrom, tokensUntil, state } of start.keys)
    if (signsFrom !== null && state !== 'revoked') tokens.set(kid, tokensUntil)
  const revoked = new Map<string, number>()
  for (const one of start.keys)
    if (one.state === 'revoked' && one.leftAt !== null) revoked.set(one.kid, one.leftAt)

  const fresh = () => {
    created += 1
    return key(`new-${created}`)
  }
  const behind = (at: number) => {
    const next = ring.keys.find(({ state }) => state === 'next') as RingKey
    return known.some(
      ({ expected, seenAt, ringVersion }) =>
        expected && at - seenAt <= verifierCache && ringVersion < next.publishedIn,
    )
  }
  const sign = (at: number) => {
    const { kid } = ringRules.activeKey(ring)
    const last = Math.max(tokens.get(kid) ?? 0, at + tokenLifetime)
    tokens.set(kid, last)
    const keys = ring.keys.map((one) => (one.kid === kid ? { ...one, tokensUntil: last } : one))
    ring = { ...ring, keys }
  }
  const replace = (at: number, successor: Ring) => {
    caches.push({ who: 'stranger', at: at - 1, kids: kidsOf(ring) })
    ring = successor
  }
  const rotateNow = (at: number) => {
    sign(at)
    replace(at, rotate(ring, [fresh()], at))
    rotations.push(`${at} ${ringRules.activeKey(ring).kid}`)
  }
  for (const action of actions) {
    if (action.do === 'revoke') {
      sign(now)
      const state = ring.keys.find(({ kid }) => kid === action.kid)?.state
      replace(now, ringRules.revoke(ring, action.kid, state === 'retiring' ? null : fresh(), now))
      revoked.set(action.kid, now)
      tokens.delete(action.kid)
    } else if (action.force || (waiting === 0 && ringRules.isSafe(ring, now, policy) && !behind(now)))
      rotateNow(now)
    else waiting += 1
  }

  for (let at = now; at < until; at += 1) {
    const isOpen = () => ringRules.isSafe(ring, at, policy) && !behind(at)
    for (; waiting > 0 && isOpen(); waiting -= 1) rotateNow(at)
    for (;;) {
      const { action } = ringRules.plan(ring, at, policy)
      if (action === 'retire') replace(at, ringRules.retire(ring, at))
      else if (action === 'rotate' && isOpen()) rotateNow(at)
      else break
    }
    sign(at)
    caches.push({ who: 'stranger', at, kids: kidsOf(ring) })
    for (const who of living) caches.push({ who, at, kids: kidsOf(ring) })
    for (const { who, at: fetchedAt, kids } of caches) {
      if (at - fetchedAt > verifierCache || fetchedAt > at) continue
      for (const [kid, last] of tokens) if (at < last && !kids.has(kid)) refusing.add(`${at} ${who} ${kid}`)
      for (const [kid, leftAt] of revoked)
        if (kids.has(kid) && fetchedAt < leftAt) accepting.add(`${at} ${who} ${kid}`)
    }
  }
  return { refusing, accepting, rotations }
}

const seconds = (max: number) => fc.integer({ min: 0, max })
const policies: fc.Arbitrary<RingPolicy> = fc.record({
  verifierCache: seconds(12),
  keyRotation: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 30 })),
  jwksMaxAge: fc.constant(5),
})
/** What has happened to the ring before the simulation. */
const past = fc.array(
  fc.record({ wait: seconds(8), what: fc.constantFrom('rotate', 'active', 'next', 'retiring', 'retire') }),
  { maxLength: 5 },
)
const plans = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('rotate' as const), force: fc.boolean() }),
    fc.record({ do: fc.constant('revoke' as const), state: fc.constantFrom('active', 'next', 'retiring') }),
  ),
  { maxLength: 4 },
)
const verifiers = fc.array(
  fc.record({ age: seconds(14), lag: fc.integer({ min: 0, max: 2 }), expected: fc.boolean() }),
  { maxLength: 3 },
)

/** The ring of a random past; versions by the second in which they were served last. */
function grow(steps: readonly { wait: number; what: string }[], tokenLifetime: number) {
  let at = T0
  let ring = first()
  const versions = [{ at, version: 1 }]
  const earlier: Fetched[] = []
  for (const [i, { wait, what }] of steps.entries()) {
    at += wait
    const state = what === 'rotate' ? 'active' : what
    const sign = {
      ...ring,
      keys: ring.keys.map((one) =>
        one.state === 'active' ? { ...one, tokensUntil: at + tokenLifetime } : one,
      ),
    }
    const target = ring.keys.find((one) => one.state === state)
    earlier.push({ at: at - 1, kids: kidsOf(ring) })
    if (what === 'rotate') ring = rotate(sign, [key(`p${i}`)], at)
    else if (what === 'retire') ring = ringRules.retire(sign, at)
    else if (target) ring = ringRules.revoke(sign, target.kid, state === 'retiring' ? null : key(`p${i}`), at)
    versions.push({ at, version: ring.version })
  }
  return {
    ring,
    at,
    earlier,
    versionAt: (time: number) => versions.findLast((one) => one.at <= time)?.version,
  }
}

t.test('what it says about verifiers agrees with a walk second by second', async (t) => {
  const cases = fc.record({
    policy: policies,
    steps: past,
    plan: plans,
    seen: verifiers,
    tokenLifetime: fc.integer({ min: 1, max: 10 }),
    rest: seconds(10),
  })
  let failures = 0
  let quiet = 0
  const property = fc.property(cases, ({ policy, steps, plan, seen, tokenLifetime, rest }) => {
    const { ring, at, earlier, versionAt } = grow(steps, tokenLifetime)
    const now = at + rest + 1
    const known = seen.flatMap(({ age, lag, expected }, i): ListedVerifier[] => {
      const seenAt = now - 1 - age
      const version = versionAt(seenAt)
      // A node that has not polled yet serves an older JWKS for a moment.
      return version === undefined
        ? []
        : [{ name: `v${i}`, instance: 'i', expected, seenAt, ringVersion: Math.max(1, version - lag) }]
    })
    const actions: SimulatedAction[] = []
    let simulated = simulate(scenario({ ring, policy, known, actions, tokenLifetime, now }))
    for (const one of plan) {
      // The states are those before the actions, so a key is revoked at most once.
      const kid = one.do === 'revoke' ? ring.keys.find(({ state }) => state === one.state)?.kid : undefined
      if (one.do === 'rotate') actions.push(one)
      else if (kid && !actions.some((other) => other.do === 'revoke' && other.kid === kid))
        actions.push({ do: 'revoke', kid })
    }
    const whole = scenario({ ring, policy, known, actions, tokenLifetime, now, automatic: 2 })
    simulated = simulate(whole)
    const end = simulated.until
    const walked = walk(whole, earlier, end)
    const said = (affected: Simulation['failing']) =>
      new Set(
        affected.flatMap(({ verifier, kid, from, until }) =>
          Array.from(
            { length: Math.min(until, end) - from },
            (_, i) => `${from + i} ${verifier?.name ?? 'stranger'} ${kid}`,
          ),
        ),
      )
    const sorted = (lines: Iterable<string>) => [...lines].sort().join('\n')
    const rotations = simulated.moments.flatMap((one) =>
      one.event === 'rotated' && (one.at < end || one.at === now) ? [`${one.at} ${one.kid}`] : [],
    )
    if (rotations.join('\n') !== walked.rotations.join('\n'))
      throw new Error(`rotations:\n${rotations.join('\n')}\nwalked:\n${walked.rotations.join('\n')}`)
    const refusing = sorted(said(simulated.failing))
    if (refusing !== sorted(walked.refusing))
      throw new Error(`refusing:\n${refusing}\nwalked:\n${sorted(walked.refusing)}`)
    const strangers = (lines: Iterable<string>) =>
      sorted([...lines].filter((line) => line.includes(' stranger ')))
    const accepting = strangers(said(simulated.exposed))
    if (accepting !== strangers(walked.accepting))
      throw new Error(`accepting:\n${accepting}\nwalked:\n${strangers(walked.accepting)}`)
    if (walked.refusing.size > 0) failures += 1
    else quiet += 1
  })
  fc.assert(property, {
    seed: Number(process.env.PROPERTY_SEED ?? 13),
    numRuns: Number(process.env.PROPERTY_RUNS ?? 600),
  })
  t.ok(failures > 50, `${failures} schedules with failures`)
  t.ok(quiet > 50, `${quiet} schedules without`)
})
