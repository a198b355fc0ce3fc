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

/** The first ring contains its next key from the start, so that no JWKS without it was ever served. */
export function createRing(active: NewKey, next: NewKey, now: EpochSeconds): Ring {
  return {
    version: 1,
    createdAt: now,
    keys: [{ ...toNextKey(active, 1, now), state: 'active', signsFrom: now }, toNextKey(next, 1, now)],
  }
}

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

/** A ring always has exactly one active key. */
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

/** When a key leaves or has left the JWKS; null if that is not known yet. */
export function leavesAt(key: RingKey): EpochSeconds | null {
  if (key.leftAt !== null) return key.leftAt
  if (key.state !== 'retiring') return null
  return Math.max(key.tokensUntil, key.stoppedAt ?? 0) + SKEW
}

/** The time from which no verifier can have a cached JWKS without the next key. */
export function safeFrom(ring: Ring, policy: Pick<RingPolicy, 'verifierCache'>): EpochSeconds {
  const { publishedAt, publishedIn } = nextKey(ring)
  return publishedIn === 1 ? publishedAt : publishedAt + policy.verifierCache
}

export function isSafe(ring: Ring, now: EpochSeconds, policy: Pick<RingPolicy, 'verifierCache'>): boolean {
  return now >= safeFrom(ring, policy)
}

/** When the ring rotates automatically: when the active key is old enough, and not before it is safe. null for never. */
export function automaticRotationAt(ring: Ring, policy: RingPolicy): EpochSeconds | null {
  if (policy.keyRotation === null) return null
  const due = (activeKey(ring).signsFrom ?? ring.createdAt) + policy.keyRotation
  return Math.max(due, safeFrom(ring, policy))
}

export type Plan = { readonly action: 'none' } | { readonly action: 'retire' } | { readonly action: 'rotate' }

/** The action that is due. The first node that gets to it performs it. */
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

/** next → active → retiring. The private key of the retiring key is erased in the same step. */
export function rotate(ring: Ring, newNext: NewKey, now: EpochSeconds): Ring {
  const keys = ring.keys.map((key): RingKey => {
    if (key.state === 'active')
      return { ...key, state: 'retiring', stoppedAt: now, encryptedPrivateKey: null }
    if (key.state === 'next') return { ...key, state: 'active', signsFrom: now }
    return key
  })
  return nextVersion(ring, keys, newNext, now)
}

/** Removes retiring keys whose last token has expired from the JWKS. */
export function retire(ring: Ring, now: EpochSeconds): Ring {
  const due = new Set(dueToLeave(ring, now).map((key) => key.kid))
  const keys = ring.keys.map(
    (key): RingKey =>
      due.has(key.kid) ? { ...key, state: 'retired', leftAt: now, encryptedPrivateKey: null } : key,
  )
  return nextVersion(ring, keys, null, now)
}

/**
 * Removes a compromised key from the JWKS immediately. If it was the active key, the next key becomes active, and verifiers
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
    if (key.state === 'next' && target.state === 'active') return { ...key, state: 'active', signsFrom: now }
    return key
  })
  return nextVersion(ring, keys, newNext, now)
}

function nextVersion(ring: Ring, keys: readonly RingKey[], newNext: NewKey | null, now: EpochSeconds): Ring {
  const version = ring.version + 1
  return { ...ring, version, keys: newNext ? [...keys, toNextKey(newNext, version, now)] : keys }
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
