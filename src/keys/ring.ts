/**
 * The laws of the key ring, as pure functions of (ring, now, policy). Owns every decision about keys; must not
 * know the store, the network, or what a private key looks like beyond the text it is encrypted to.
 */
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { EpochSeconds, Seconds } from '../system.ts'

export interface RingPolicy {
  /** The longest any verifier may hold a JWKS. */
  readonly verifierCache: Seconds
  /** Age at which the active key is replaced by itself; null: never. */
  readonly keyRotation: Seconds | null
  /** Upper bound of the JWKS's `max-age`. */
  readonly jwksMaxAge: Seconds
}

/** How far a verifier's clock may be behind ours: a key stays this much longer than its last token. */
export const SKEW: Seconds = 60

/** A key as it is made, before it has a place in a ring. */
export interface NewKey {
  readonly kid: string
  readonly alg: string
  readonly publicJwk: RingKey['publicJwk']
  readonly encryptedPrivateKey: string
}

/** The first ring has its next key from the start: no JWKS without it will ever have been served. */
export function createRing(active: NewKey, next: NewKey, now: EpochSeconds): Ring {
  return {
    version: 1,
    createdAt: now,
    keys: [{ ...asNext(active, 1, now), state: 'active', signsFrom: now }, asNext(next, 1, now)],
  }
}

function asNext(key: NewKey, version: number, now: EpochSeconds): RingKey {
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

/** Exactly one key is active, always; a ring without one is no ring. */
export function activeKey(ring: Ring): RingKey {
  return only(ring, 'active')
}

export function nextKey(ring: Ring): RingKey {
  return only(ring, 'next')
}

function only(ring: Ring, state: 'active' | 'next'): RingKey {
  const keys = ring.keys.filter((key) => key.state === state)
  const [key] = keys
  if (!key || keys.length !== 1) throw new Error(`the ring has ${keys.length} ${state} keys`)
  return key
}

export function isPublished(key: RingKey): boolean {
  return key.state === 'next' || key.state === 'active' || key.state === 'retiring'
}

/** When a retiring key's last token has expired everywhere; null while it is not known. */
export function leavesAt(key: RingKey): EpochSeconds | null {
  if (key.leftAt !== null) return key.leftAt
  if (key.state !== 'retiring') return null
  return Math.max(key.tokensUntil, key.stoppedAt ?? 0) + SKEW
}

/** From when no verifier can hold a JWKS without the next key. */
export function safeFrom(ring: Ring, policy: Pick<RingPolicy, 'verifierCache'>): EpochSeconds {
  const { publishedAt, publishedIn } = nextKey(ring)
  return publishedIn === 1 ? publishedAt : publishedAt + policy.verifierCache
}

export function isSafe(ring: Ring, now: EpochSeconds, policy: Pick<RingPolicy, 'verifierCache'>): boolean {
  return now >= safeFrom(ring, policy)
}

/** When the ring will rotate by itself: when the active key is old enough, and not before it is safe. */
export function automaticRotationAt(ring: Ring, policy: RingPolicy): EpochSeconds | null {
  if (policy.keyRotation === null) return null
  const due = (activeKey(ring).signsFrom ?? ring.createdAt) + policy.keyRotation
  return Math.max(due, safeFrom(ring, policy))
}

export type Plan = { readonly action: 'none' } | { readonly action: 'retire' } | { readonly action: 'rotate' }

/** What a serving node should do now, if it is the first to get there. */
export function plan(ring: Ring, now: EpochSeconds, policy: RingPolicy): Plan {
  if (dueToLeave(ring, now).length > 0) return { action: 'retire' }
  const rotation = automaticRotationAt(ring, policy)
  return rotation !== null && now >= rotation ? { action: 'rotate' } : { action: 'none' }
}

function dueToLeave(ring: Ring, now: EpochSeconds): RingKey[] {
  return ring.keys.filter(
    (key) => key.state === 'retiring' && now > (leavesAt(key) ?? Number.POSITIVE_INFINITY),
  )
}

/** next → active → retiring; the private key of the retiring key is erased in the same step. */
export function rotate(ring: Ring, fresh: NewKey, now: EpochSeconds): Ring {
  const keys = ring.keys.map((key): RingKey => {
    if (key.state === 'active')
      return { ...key, state: 'retiring', stoppedAt: now, encryptedPrivateKey: null }
    if (key.state === 'next') return { ...key, state: 'active', signsFrom: now }
    return key
  })
  return changed(ring, keys, fresh, now)
}

/** Takes expired keys out of the JWKS. */
export function retire(ring: Ring, now: EpochSeconds): Ring {
  const due = new Set(dueToLeave(ring, now).map((key) => key.kid))
  const keys = ring.keys.map(
    (key): RingKey =>
      due.has(key.kid) ? { ...key, state: 'retired', leftAt: now, encryptedPrivateKey: null } : key,
  )
  return changed(ring, keys, null, now)
}

/**
 * A compromised key leaves at once. If it was the active one, the next key, which verifiers already hold, takes
 * over; `fresh` becomes the new next key. It is needed unless the key was retiring.
 */
export function revoke(ring: Ring, kid: string, fresh: NewKey | null, now: EpochSeconds): Ring {
  const bad = ring.keys.find((key) => key.kid === kid)
  if (!bad || !isPublished(bad)) throw new Error(`${kid} is not in the JWKS`)
  const keys = ring.keys.map((key): RingKey => {
    if (key === bad) {
      const stoppedAt = key.state === 'active' ? now : key.stoppedAt
      return { ...key, state: 'revoked', stoppedAt, leftAt: now, encryptedPrivateKey: null }
    }
    if (key.state === 'next' && bad.state === 'active') return { ...key, state: 'active', signsFrom: now }
    return key
  })
  return changed(ring, keys, fresh, now)
}

function changed(ring: Ring, keys: readonly RingKey[], fresh: NewKey | null, now: EpochSeconds): Ring {
  const version = ring.version + 1
  return { ...ring, version, keys: fresh ? [...keys, asNext(fresh, version, now)] : keys }
}

/** When the JWKS will change by itself; null if nothing is foreseen. */
export function nextChange(ring: Ring, policy: RingPolicy): EpochSeconds | null {
  const leaving = ring.keys.filter((key) => key.state === 'retiring').map((key) => leavesAt(key))
  const times = [...leaving, automaticRotationAt(ring, policy)].filter((time) => time !== null)
  return times.length === 0 ? null : Math.min(...times)
}

/**
 * `Cache-Control` of the JWKS. Never longer than to the next change; and after a revocation `no-cache` for as
 * long as any cache may still hold the bad key, so that a client that asks through a cache gets the new set.
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

/** RFC 7517 §5: public members only, each key with the one algorithm it is for (RFC 8725 §3.1). */
export function jwks(ring: Ring): { keys: Record<string, string>[] } {
  return {
    keys: ring.keys
      .filter(isPublished)
      .map((key) => ({ ...key.publicJwk, kid: key.kid, use: 'sig', alg: key.alg })),
  }
}
