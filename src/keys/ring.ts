/**
 * The rules of the key ring, as pure functions of (ring, now, policy). Makes every decision about signing keys. Must not know the
 * store or the network, or read a private key.
 */
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { EpochSeconds, Seconds } from '../system.ts'

export interface RingPolicy {
  /** The longest time that any verifier uses a cached JWKS. */
  readonly verifierCache: Seconds
  /** The age at which the active key is rotated automatically; null for never. */
  readonly keyRotation: Seconds | null
  /** The upper bound of the JWKS's `max-age`. */
  readonly jwksMaxAge: Seconds
}

/** How far a verifier's clock may be behind the server's. A key stays in the JWKS this much longer than its last token. */
export const SKEW: Seconds = 60

/** A new key, before it is in a ring. */
export interface NewKey {
  readonly kid: string
  readonly alg: string
  readonly publicJwk: RingKey['publicJwk']
  readonly encryptedPrivateKey: string
}

/** The keys with which a lane begins. Both have the algorithm of the lane. */
export interface NewLane {
  readonly active: NewKey
  readonly next: NewKey
}

/**
 * The first ring contains the next keys from the start, so that no JWKS without them was ever served.
 * @param lanes the first one is the default
 */
export function createRing([first, ...others]: readonly [NewLane, ...NewLane[]], now: EpochSeconds): Ring {
  return {
    version: 1,
    createdAt: now,
    defaultAlg: first.active.alg,
    keys: [first, ...others].flatMap((lane) => laneKeys(lane, 1, now, now)),
  }
}

const laneKeys = (
  { active, next }: NewLane,
  version: number,
  now: EpochSeconds,
  signsFrom: EpochSeconds,
): RingKey[] => [
  { ...toNextKey(active, version, now), state: 'active', signsFrom },
  toNextKey(next, version, now),
]

function toNextKey(key: NewKey, version: number, now: EpochSeconds): RingKey {
  return {
    kid: key.kid,
    alg: key.alg,
    publicJwk: key.publicJwk,
    encryptedPrivateKey: key.encryptedPrivateKey,
    state: 'next',
    createdAt: now,
    publishedAt: now,
    publishedIn: version,
    signsFrom: null,
    stoppedAt: null,
    tokensUntil: 0,
    leftAt: null,
  }
}

/** An algorithm that the ring signs with. Each lane has exactly one active and one next key. */
export interface Lane {
  readonly alg: string
  readonly active: RingKey
  readonly next: RingKey
  readonly retiring: readonly RingKey[]
}

/** The default lane first, and then by name. */
export function lanesOf(ring: Ring): Lane[] {
  return laneNames(ring).map((alg) => readLane(ring, alg))
}

export function laneNames({ keys, defaultAlg }: Ring): string[] {
  const names = new Set(
    keys.filter(({ state }) => state === 'active' || state === 'next').map(({ alg }) => alg),
  )
  names.delete(defaultAlg)
  return [defaultAlg, ...[...names].sort()]
}

/** undefined if the ring has no such lane. */
export function laneOf(ring: Ring, alg: string): Lane | undefined {
  return laneNames(ring).includes(alg) ? readLane(ring, alg) : undefined
}

const readLane = (ring: Ring, alg: string): Lane => ({
  alg,
  active: activeKey(ring, alg),
  next: nextKey(ring, alg),
  retiring: ring.keys.filter((key) => key.alg === alg && key.state === 'retiring'),
})

/** The key that signs in a lane, by default in the default lane. */
export function activeKey(ring: Ring, alg: string = ring.defaultAlg): RingKey {
  return only(ring, 'active', alg)
}

export function nextKey(ring: Ring, alg: string = ring.defaultAlg): RingKey {
  return only(ring, 'next', alg)
}

function only(ring: Ring, state: 'active' | 'next', alg: string): RingKey {
  const keys = ring.keys.filter((key) => key.state === state && key.alg === alg)
  const [key] = keys
  if (!key || keys.length !== 1) throw new Error(`the ring has ${keys.length} ${state} keys for ${alg}`)
  return key
}

export function isPublished(key: RingKey): boolean {
  return key.state === 'next' || key.state === 'active' || key.state === 'retiring'
}

/** When a key leaves or has left the JWKS; null if that is not known yet. */
export function leavesAt(key: RingKey): EpochSeconds | null {
  if (key.leftAt !== null) return key.leftAt
  if (key.state !== 'retiring') return null
  return Math.max(key.tokensUntil, key.stoppedAt ?? 0) + SKEW
}

/** The time from which no verifier can have a cached JWKS without the key. */
function heldFrom(
  { publishedAt, publishedIn }: RingKey,
  { verifierCache }: Pick<RingPolicy, 'verifierCache'>,
): EpochSeconds {
  return publishedIn === 1 ? publishedAt : publishedAt + verifierCache
}

/** The time from which no verifier can have a cached JWKS without the next keys of these lanes, by default of all. */
export function safeFrom(
  ring: Ring,
  policy: Pick<RingPolicy, 'verifierCache'>,
  lanes: readonly string[] = laneNames(ring),
): EpochSeconds {
  return Math.max(...lanes.map((alg) => heldFrom(nextKey(ring, alg), policy)))
}

export function isSafe(
  ring: Ring,
  now: EpochSeconds,
  policy: Pick<RingPolicy, 'verifierCache'>,
  lanes?: readonly string[],
): boolean {
  return now >= safeFrom(ring, policy, lanes)
}

/** The time from which a lane may sign more than it does already: no verifier can have a cached JWKS without its active key. */
export function usableFrom(lane: Lane, policy: Pick<RingPolicy, 'verifierCache'>): EpochSeconds {
  return heldFrom(lane.active, policy)
}

/** When a lane rotates automatically: when its active key is old enough, and not before it is safe. null for never. */
export function laneRotationAt(ring: Ring, { alg, active }: Lane, policy: RingPolicy): EpochSeconds | null {
  if (policy.keyRotation === null) return null
  const due = (active.signsFrom ?? ring.createdAt) + policy.keyRotation
  return Math.max(due, safeFrom(ring, policy, [alg]))
}

/** When the first lane rotates automatically. null for never. */
export function automaticRotationAt(ring: Ring, policy: RingPolicy): EpochSeconds | null {
  const times = lanesOf(ring).map((lane) => laneRotationAt(ring, lane, policy))
  return times.reduce((first, time) => (first === null || time === null ? null : Math.min(first, time)))
}

export type Plan =
  | { readonly action: 'none' }
  | { readonly action: 'retire' }
  /** `lanes`: those that are due. */
  | { readonly action: 'rotate'; readonly lanes: readonly string[] }

/** The action that is due. The first node that gets to it performs it. */
export function plan(ring: Ring, now: EpochSeconds, policy: RingPolicy): Plan {
  if (dueToLeave(ring, now).length > 0) return { action: 'retire' }
  const lanes = lanesOf(ring).filter((lane) => {
    const rotation = laneRotationAt(ring, lane, policy)
    return rotation !== null && now >= rotation
  })
  return lanes.length > 0 ? { action: 'rotate', lanes: lanes.map(({ alg }) => alg) } : { action: 'none' }
}

function dueToLeave(ring: Ring, now: EpochSeconds): RingKey[] {
  return ring.keys.filter(
    (key) => key.state === 'retiring' && now > (leavesAt(key) ?? Number.POSITIVE_INFINITY),
  )
}

/**
 * next → active → retiring, in the lanes of the new keys. The private key of a retiring key is erased in the same step.
 * @param newNexts the new next key of each lane
 */
export function rotate(ring: Ring, newNexts: readonly NewKey[], now: EpochSeconds): Ring {
  const lanes = new Set(newNexts.map(({ alg }) => alg))
  const keys = ring.keys.map((key): RingKey => {
    if (!lanes.has(key.alg)) return key
    if (key.state === 'active') return stopped(key, now)
    if (key.state === 'next') return activated(key, activeKey(ring, key.alg), now)
    return key
  })
  return nextVersion(ring, keys, newNexts, now)
}

const stopped = (key: RingKey, now: EpochSeconds): RingKey => ({
  ...key,
  state: 'retiring',
  stoppedAt: now,
  encryptedPrivateKey: null,
})

/** The key of a lane that may not be used yet waits as long as its predecessor would have. */
const activated = (key: RingKey, predecessor: RingKey, now: EpochSeconds): RingKey => ({
  ...key,
  state: 'active',
  signsFrom: Math.max(now, predecessor.signsFrom ?? now),
})

/** Removes retiring keys whose last token has expired from the JWKS. */
export function retire(ring: Ring, now: EpochSeconds): Ring {
  const due = new Set(dueToLeave(ring, now).map((key) => key.kid))
  const keys = ring.keys.map(
    (key): RingKey =>
      due.has(key.kid) ? { ...key, state: 'retired', leftAt: now, encryptedPrivateKey: null } : key,
  )
  return nextVersion(ring, keys, [], now)
}

/**
 * Removes a compromised key from the JWKS immediately. If it was the active key of its lane, the next key becomes active, and verifiers
 * already have it. `newNext` becomes the new next key; it is null only if the key was retiring.
 */
export function revoke(ring: Ring, kid: string, newNext: NewKey | null, now: EpochSeconds): Ring {
  const target = ring.keys.find((key) => key.kid === kid)
  if (!target || !isPublished(target)) throw new Error(`${kid} is not in the JWKS`)
  const keys = ring.keys.map((key): RingKey => {
    if (key === target) {
      const stoppedAt = key.state === 'active' ? now : key.stoppedAt
      return { ...key, state: 'revoked', stoppedAt, leftAt: now, encryptedPrivateKey: null }
    }
    const takesOver = target.state === 'active' && key.state === 'next' && key.alg === target.alg
    return takesOver ? activated(key, target, now) : key
  })
  return nextVersion(ring, keys, newNext === null ? [] : [newNext], now)
}

function nextVersion(
  ring: Ring,
  keys: readonly RingKey[],
  newNexts: readonly NewKey[],
  now: EpochSeconds,
): Ring {
  const version = ring.version + 1
  return { ...ring, version, keys: [...keys, ...newNexts.map((key) => toNextKey(key, version, now))] }
}

/** Publishes both keys of a new lane. Nothing may be signed in it before no verifier can have a cached JWKS without them. */
export function addLane(
  ring: Ring,
  lane: NewLane,
  now: EpochSeconds,
  { verifierCache }: Pick<RingPolicy, 'verifierCache'>,
): Ring {
  const version = ring.version + 1
  return { ...ring, version, keys: [...ring.keys, ...laneKeys(lane, version, now, now + verifierCache)] }
}

/** The lane must be usable. */
export function setDefault(ring: Ring, alg: string): Ring {
  return { ...ring, version: ring.version + 1, defaultAlg: alg }
}

/** The active key stays in the JWKS until its last token has expired. The next key, which has signed nothing, leaves at once. */
export function removeLane(ring: Ring, alg: string, now: EpochSeconds): Ring {
  const keys = ring.keys.map((key): RingKey => {
    if (key.alg !== alg) return key
    if (key.state === 'active') return stopped(key, now)
    if (key.state === 'next') return { ...key, state: 'retired', leftAt: now, encryptedPrivateKey: null }
    return key
  })
  return nextVersion(ring, keys, [], now)
}

/** The time of the next automatic change of the JWKS; null if none is scheduled. */
export function nextChange(ring: Ring, policy: RingPolicy): EpochSeconds | null {
  const leaving = ring.keys.filter((key) => key.state === 'retiring').map((key) => leavesAt(key))
  const times = [...leaving, automaticRotationAt(ring, policy)].filter((time) => time !== null)
  return times.length === 0 ? null : Math.min(...times)
}

/**
 * `Cache-Control` of the JWKS. `max-age` never reaches past the next change. After a revocation it is `no-cache` as long as any
 * cache may still have the revoked key, so that a verifier that fetches through a cache gets the new set.
 */
export function cacheControl(ring: Ring, now: EpochSeconds, policy: RingPolicy): string {
  const revokedRecently = ring.keys.some(
    (key) => key.state === 'revoked' && now < (key.leftAt ?? 0) + policy.verifierCache,
  )
  if (revokedRecently) return 'no-cache'
  const change = nextChange(ring, policy)
  const age = change === null ? policy.jwksMaxAge : Math.min(policy.jwksMaxAge, change - now)
  return `public, max-age=${Math.max(0, age)}`
}

/** The JWK Set (RFC 7517 §5): public members only, and each key with its one algorithm (RFC 8725 §3.1). */
export function jwks(ring: Ring): { keys: Record<string, string>[] } {
  return {
    keys: ring.keys
      .filter(isPublished)
      .map((key) => ({ ...key.publicJwk, kid: key.kid, use: 'sig', alg: key.alg })),
  }
}
