/**
 * What verifiers with a cached JWKS would do while the ring changes as simulated. Besides the known verifiers there are always others, whose
 * cached JWKS is of any age up to `verifierCache`. Pure.
 */
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { KnownVerifier, ListedVerifier } from '../store/contracts/verifiers.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import { holdersAmong } from './known-verifiers.ts'

/** Which verifiers are affected, with respect to which key, and until when at the latest (exclusive). */
export interface Affected {
  /** null: verifiers that have not identified themselves, as far as their cached JWKS has the age that matters. */
  readonly verifier: Pick<KnownVerifier, 'name' | 'instance'> | null
  readonly kid: string
  readonly from: EpochSeconds
  readonly until: EpochSeconds
}

export interface Simulated {
  /** When the simulation begins. */
  readonly now: EpochSeconds
  /** The ring at its end. It has the history of every key. */
  readonly ring: Ring
  /** The verifiers as they are when it begins. */
  readonly known: readonly ListedVerifier[]
  readonly verifierCache: Seconds
}

/** The known verifiers that may have a cached JWKS at this time. The bound is that of `VerifierStore.list` in `behind`. */
export const withCache = (
  known: readonly ListedVerifier[],
  at: EpochSeconds,
  verifierCache: Seconds,
): ListedVerifier[] => known.filter(({ seenAt }) => seenAt >= at - verifierCache)

/** Verifiers that would refuse good tokens, because their cached JWKS is from before the key that signed them was published. */
export function refusals({ now, ring, known, verifierCache }: Simulated): Affected[] {
  return ring.keys.flatMap((key): Affected[] => {
    // No JWKS without a key of the first version was ever served.
    if (key.signsFrom === null || key.publishedIn === 1) return []
    const from = Math.max(now, key.signsFrom)
    const refusesUntil = (verifier: Affected['verifier'], until: EpochSeconds): Affected => ({
      verifier,
      kid: key.kid,
      from,
      until: Math.min(until, goodUntil(key)),
    })
    // The same bound as that of a safe rotation.
    const others = refusesUntil(null, key.publishedAt + verifierCache)
    const named = withCache(known, now, verifierCache).flatMap(({ name, instance, seenAt, ringVersion }) => {
      // A verifier that fetches from now on gets all keys that can fail: a key that is published later signs only when it is safe.
      if (ringVersion >= key.publishedIn) return []
      return [refusesUntil({ name, instance }, seenAt + verifierCache + 1)]
    })
    return [...named, others].filter(({ until }) => from < until)
  })
}

/** From then on there is no good token of this key. */
function goodUntil({ state, leftAt, stoppedAt, tokensUntil }: RingKey): EpochSeconds {
  const revokedAt = state === 'revoked' ? leftAt : null
  const expired = stoppedAt === null ? null : tokensUntil
  return Math.min(revokedAt ?? Number.POSITIVE_INFINITY, expired ?? Number.POSITIVE_INFINITY)
}

/** Verifiers that would still accept a revoked key, because their cached JWKS is from before the revocation. */
export function exposures({ now, ring, known, verifierCache }: Simulated): Affected[] {
  return ring.keys.flatMap((key): Affected[] => {
    if (key.state !== 'revoked' || key.leftAt === null) return []
    const from = Math.max(now, key.leftAt)
    const acceptedUntil = (verifier: Affected['verifier'], until: EpochSeconds): Affected => ({
      verifier,
      kid: key.kid,
      from,
      until,
    })
    const named = holdersAmong(withCache(known, from, verifierCache), ring, key.kid).map(
      ({ name, instance, seenAt }) => acceptedUntil({ name, instance }, seenAt + verifierCache),
    )
    const others = acceptedUntil(null, key.leftAt + verifierCache)
    return [...named, others].filter(({ until }) => from < until)
  })
}

/** Tokens that all verifiers are meant to refuse, because their key was revoked before they expire. */
export function revokedTokens({ now, ring }: Pick<Simulated, 'now' | 'ring'>): Omit<Affected, 'verifier'>[] {
  return ring.keys.flatMap(({ kid, state, leftAt, tokensUntil }) => {
    const from = Math.max(now, leftAt ?? 0)
    return state === 'revoked' && from < tokensUntil ? [{ kid, from, until: tokensUntil }] : []
  })
}
