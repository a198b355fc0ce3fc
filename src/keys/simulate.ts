/**
 * A simulation: what the ring would publish, and which verifiers would fail, if an operator did this or had these settings. Virtual time
 * goes by; the decisions are those of `ring.ts` and `known-verifiers.ts`. Pure: no key is generated, and nothing is written.
 */
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { ListedVerifier } from '../store/contracts/verifiers.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import { behindAmong, namesOf } from './known-verifiers.ts'
import * as ringRules from './ring.ts'
import { findLane, KeyNotFound } from './rotate.ts'
import { type Affected, exposures, refusals, revokedTokens, withCache } from './simulated-verifiers.ts'

/** A rotation waits until it is safe, unless it is forced. A revocation never waits. */
export type SimulatedAction =
  /** Without a lane, all lanes rotate. */
  | { readonly do: 'rotate'; readonly force: boolean; readonly lane?: string }
  | { readonly do: 'revoke'; readonly kid: string }

export interface Scenario {
  readonly ring: Ring
  readonly policy: ringRules.RingPolicy
  /** The verifiers that the store knows. */
  readonly known: readonly ListedVerifier[]
  /** What the operator does now, in this order. */
  readonly actions: readonly SimulatedAction[]
  /** How long after a token is signed `tokensUntil` of its key may be. */
  readonly tokenLifetime: Seconds
  /** How many automatic rotations to follow. */
  readonly automatic: number
  readonly now: EpochSeconds
}

type MomentEvent =
  | { readonly event: 'start' }
  /** A requested rotation is not safe yet. */
  | { readonly event: 'rotation_waits'; readonly until: EpochSeconds; readonly behind: string[] }
  | {
      readonly event: 'rotated'
      readonly kid: string
      readonly reason: 'requested' | 'forced' | 'automatic'
    }
  | { readonly event: 'revoked' | 'retired'; readonly kid: string }
  /** From now on no verifier refuses good tokens of this key. */
  | { readonly event: 'accepted_everywhere'; readonly kid: string }
  /** From now on no verifier accepts this revoked key. */
  | { readonly event: 'exposure_ended'; readonly kid: string }

export type Moment = MomentEvent & {
  readonly at: EpochSeconds
  /** The keys of the default lane. */
  readonly active: string
  readonly next: string
  /** The active keys of all lanes, the default lane first. */
  readonly signing: readonly string[]
  /** The kids in the JWKS. */
  readonly published: readonly string[]
  readonly cacheControl: string
  /** Verifiers that would refuse good tokens. */
  readonly failing: readonly Affected[]
  /** Verifiers that would still accept a revoked key. */
  readonly exposed: readonly Affected[]
}

export interface Simulation {
  readonly moments: readonly Moment[]
  /** The ring at the end. Keys that do not exist are called `new-1`, `new-2` and so on. */
  readonly ring: Ring
  readonly until: EpochSeconds
  /** Verifiers that would refuse good tokens. Empty: no verifier would fail. */
  readonly failing: readonly Affected[]
  readonly exposed: readonly Affected[]
  /** Tokens of revoked keys, which are meant to be refused. */
  readonly revokedTokens: readonly Omit<Affected, 'verifier'>[]
}

/**
 * How many verifiers a moment lists. Strangers choose names of verifiers, and every moment could list all of them for every key; a list that
 * is not empty says what matters.
 */
const MAX_PER_MOMENT = 100

/** A ring that changes every minute ends a simulation after this many changes. */
const MAX_CHANGES = 200

interface Change {
  readonly at: EpochSeconds
  readonly ring: Ring
  readonly what: MomentEvent
}

/** @throws {KeyNotFound | LaneNotFound} if a key that is to be revoked is not in the JWKS, or a lane is not in the ring */
export function simulate(scenario: Scenario): Simulation {
  const { policy, known, now } = scenario
  const changes = run(scenario)
  const { ring } = changes.at(-1) ?? scenario
  const simulated = { now, ring, known, verifierCache: policy.verifierCache }
  const ordered = byImportance(known)
  const affected = { failing: ordered(refusals(simulated)), exposed: ordered(exposures(simulated)) }
  const ends = [
    ...endsOf(affected.failing, 'accepted_everywhere'),
    ...endsOf(affected.exposed, 'exposure_ended'),
  ].map(({ at, what }) => ({ at, what, ring: ringAt(changes, at) }))
  // The order of what happens in the same second is kept; a wait ends before the next change.
  const moments = [...ends, ...changes].sort((a, b) => a.at - b.at).map(toMoment)
  return {
    ...affected,
    moments,
    ring,
    until: moments.at(-1)?.at ?? now,
    revokedTokens: revokedTokens(simulated),
  }

  function toMoment({ at, ring: current, what }: Change): Moment {
    const states = new Map(current.keys.map((key) => [key.kid, key.state]))
    const isNow = ({ from, until }: Affected) => from <= at && at < until
    return {
      at,
      ...what,
      active: ringRules.activeKey(current).kid,
      next: ringRules.nextKey(current).kid,
      signing: ringRules.lanesOf(current).map((lane) => lane.active.kid),
      published: current.keys.filter(ringRules.isPublished).map(({ kid }) => kid),
      cacheControl: ringRules.cacheControl(current, at, policy),
      // Several changes may share a second; what a later one causes is not shown with an earlier one.
      failing: firstOf(affected.failing, (one) => isNow(one) && states.get(one.kid) !== 'next'),
      exposed: firstOf(affected.exposed, (one) => isNow(one) && states.get(one.kid) === 'revoked'),
    }
  }
}

/** The last time at which a verifier is affected, for each key. */
function endsOf(affected: readonly Affected[], event: 'accepted_everywhere' | 'exposure_ended') {
  const ends = new Map<string, EpochSeconds>()
  for (const { kid, until } of affected) ends.set(kid, Math.max(until, ends.get(kid) ?? until))
  return [...ends].map(([kid, at]) => ({ at, what: { event, kid } }))
}

/** Verifiers that are expected come before those that strangers may have named, and all others that are unknown come first. */
function byImportance(known: readonly ListedVerifier[]) {
  const expected = new Set(known.filter((one) => one.expected).map(({ name }) => name))
  const rank = ({ verifier }: Affected) => (verifier === null ? 0 : expected.has(verifier.name) ? 1 : 2)
  return (affected: Affected[]) =>
    affected.length <= MAX_PER_MOMENT ? affected : affected.toSorted((a, b) => rank(a) - rank(b))
}

function firstOf(affected: readonly Affected[], isListed: (one: Affected) => boolean): Affected[] {
  const found: Affected[] = []
  for (const one of affected) {
    if (found.length === MAX_PER_MOMENT) break
    if (isListed(one)) found.push(one)
  }
  return found
}

function ringAt(changes: readonly Change[], at: EpochSeconds): Ring {
  const [first] = changes
  if (!first) throw new Error('a simulation has at least a start')
  return (changes.findLast((change) => change.at < at) ?? first).ring
}

/** All changes of the ring, beginning with its state now. */
function run({ ring: first, policy, known, actions, tokenLifetime, automatic, now }: Scenario): Change[] {
  let ring = first
  let created = 0
  /** The lanes of each requested rotation that is not safe yet. */
  const waiting: (readonly string[])[] = []
  let automaticLeft = policy.keyRotation === null ? 0 : automatic * ringRules.laneNames(first).length
  const changes: Change[] = [{ at: now, ring, what: { event: 'start' } }]

  const newKey = (alg: string): ringRules.NewKey => {
    created += 1
    return { kid: `new-${created}`, alg, publicJwk: { kty: 'none' }, encryptedPrivateKey: '' }
  }

  /** The active key signs all the time. A key that will stop has signed a token at the last moment. */
  const signed = (at: EpochSeconds): Ring => ({
    ...ring,
    keys: ring.keys.map(
      (key): RingKey =>
        key.state === 'active' ? { ...key, tokensUntil: Math.max(key.tokensUntil, at + tokenLifetime) } : key,
    ),
  })

  function change(at: EpochSeconds, changed: Ring, what: MomentEvent): void {
    ring = changed
    changes.push({ at, ring, what })
  }

  function rotate(
    at: EpochSeconds,
    reason: 'requested' | 'forced' | 'automatic',
    lanes: readonly string[],
  ): void {
    const kids = lanes.map((alg) => ringRules.nextKey(ring, alg).kid)
    const rotated = ringRules.rotate(signed(at), lanes.map(newKey), at)
    for (const kid of kids) change(at, rotated, { event: 'rotated', kid, reason })
  }

  function retire(at: EpochSeconds): void {
    const before = ring
    ring = ringRules.retire(ring, at)
    for (const [i, { kid, state }] of ring.keys.entries())
      if (state !== before.keys[i]?.state) change(at, ring, { event: 'retired', kid })
  }

  const behindAt = (at: EpochSeconds, lanes: readonly string[]) =>
    behindAmong(withCache(known, at, policy.verifierCache), ring, lanes)
  const mayRotate = (at: EpochSeconds, lanes: readonly string[]) =>
    ringRules.isSafe(ring, at, policy, lanes) && behindAt(at, lanes).length === 0

  /** The first time, at `at` or later, at which no expected verifier is behind. */
  function notBehindFrom(at: EpochSeconds, lanes: readonly string[]): EpochSeconds {
    return Math.max(at, ...behindAt(at, lanes).map(({ seenAt }) => seenAt + policy.verifierCache + 1))
  }

  /** What is due at this time, as a node that polls would do it. */
  function settle(at: EpochSeconds): void {
    for (let [lanes] = waiting; lanes && mayRotate(at, lanes); [lanes] = waiting) {
      rotate(at, 'requested', lanes)
      waiting.shift()
    }
    while (changes.length <= MAX_CHANGES) {
      const due = ringRules.plan(ring, at, policy)
      if (due.action === 'none') return
      if (due.action === 'retire') retire(at)
      else {
        const ready = due.lanes.filter((alg) => mayRotate(at, [alg]))
        if (ready.length === 0) return
        rotate(at, 'automatic', ready)
        automaticLeft -= ready.length
      }
    }
  }

  for (const action of actions) {
    if (action.do === 'revoke') {
      revoke(action.kid)
      continue
    }
    const lanes = action.lane === undefined ? ringRules.laneNames(ring) : [findLane(ring, action.lane).alg]
    if (action.force) rotate(now, 'forced', lanes)
    else if (waiting.length === 0 && mayRotate(now, lanes)) rotate(now, 'requested', lanes)
    else {
      waiting.push(lanes)
      const until = notBehindFrom(Math.max(now, ringRules.safeFrom(ring, policy, lanes)), lanes)
      changes.push({
        at: now,
        ring,
        what: { event: 'rotation_waits', until, behind: namesOf(behindAt(now, lanes)) },
      })
    }
  }

  function revoke(kid: string): void {
    const key = ring.keys.find((one) => one.kid === kid)
    if (!key || !ringRules.isPublished(key)) throw new KeyNotFound(kid)
    const newNext = key.state === 'retiring' ? null : newKey(key.alg)
    change(now, ringRules.revoke(signed(now), kid, newNext, now), { event: 'revoked', kid })
  }

  let end = Number.POSITIVE_INFINITY
  for (let at: EpochSeconds | null = now; at !== null && at <= end && changes.length <= MAX_CHANGES; ) {
    settle(at)
    // The consequences of the last rotation are followed until no cache or token of before can remain.
    if (end === Number.POSITIVE_INFINITY && waiting.length === 0 && automaticLeft <= 0)
      end = at + Math.max(policy.verifierCache, tokenLifetime + ringRules.SKEW + 1)
    at = nextTime(at)
  }
  return changes

  /** When something is due next, after what was due at `at`. */
  function nextTime(at: EpochSeconds): EpochSeconds | null {
    const leaving = ring.keys
      .filter(({ state }) => state === 'retiring')
      .map((key) => (ringRules.leavesAt(key) ?? 0) + 1)
    const requested = waiting
      .slice(0, 1)
      .map((lanes) => notBehindFrom(Math.max(at, ringRules.safeFrom(ring, policy, lanes)), lanes))
    const automatically = ringRules.lanesOf(ring).flatMap((lane) => {
      const time = ringRules.laneRotationAt(ring, lane, policy)
      return time === null ? [] : [notBehindFrom(Math.max(at, time), [lane.alg])]
    })
    const times = [...leaving, ...requested, ...automatically]
    return times.length === 0 ? null : Math.min(...times)
  }
}
