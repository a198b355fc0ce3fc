/**
 * Records which JWKS each known verifier has fetched last. A rotation waits for verifiers that are behind. This can only make a
 * rotation later, because a verifier that reads the JWKS through a cache is unknown. Must not know HTTP except for the text
 * of one header.
 */
import type { Ring } from '../store/contracts/ring.ts'
import type { KnownVerifier, VerifierStore } from '../store/contracts/verifiers.ts'
import { RETENTION } from '../store/retention.ts'
import type { Clock, EpochSeconds, Logger, Seconds } from '../system.ts'
import { nextKey } from './ring.ts'

/** The request header with which a verifier identifies itself: `orders; instance=4fK…`. */
export const VERIFIER_HEADER = 'keyturn-verifier'
const HEADER = /^([A-Za-z0-9._-]{1,64}); ?instance=([A-Za-z0-9_-]{1,64})$/

export interface KnownVerifiers {
  /** Records that the sender of this header was given the JWKS of this ring version. Returns at once and never throws. */
  served(header: unknown, ringVersion: number): void
  /** Stores what was recorded. Called at every poll. */
  flush(): Promise<void>
}

/** The endpoint is public, so the number of verifiers is limited: between two flushes, and in total. */
const MAX_PENDING = 1000
const MAX_KNOWN = 10_000
/** A verifier that fetches the same ring version again is stored at most this often. */
const MIN_INTERVAL: Seconds = 60

export interface KnownVerifiersDeps {
  readonly verifiers: VerifierStore
  readonly clock: Clock
  readonly logger: Pick<Logger, 'warn'>
}

export function createKnownVerifiers({ verifiers, clock, logger }: KnownVerifiersDeps): KnownVerifiers {
  const written = new Map<string, KnownVerifier>()
  let pending = new Map<string, KnownVerifier>()

  return {
    served(header, ringVersion) {
      const [, name, instance] = typeof header === 'string' ? (HEADER.exec(header) ?? []) : []
      if (!name || !instance) return
      const id = `${name};${instance}`
      const previous = written.get(id)
      const now = clock.now()
      if (previous && previous.ringVersion >= ringVersion && now - previous.seenAt < MIN_INTERVAL) return
      if (pending.size >= MAX_PENDING || (!previous && written.size >= MAX_KNOWN)) return
      pending.set(id, { name, instance, ringVersion, seenAt: now })
    },

    async flush() {
      if (pending.size === 0) return
      const batch = pending
      pending = new Map()
      try {
        await verifiers.record([...batch.values()])
        for (const [id, verifier] of batch) written.set(id, verifier)
      } catch (error) {
        // The verifiers will fetch the JWKS again. Until then they count as behind, which is safe.
        logger.warn({ err: error }, 'the known verifiers could not be stored')
      }
      const since = clock.now() - RETENTION.verifiers.seconds
      for (const [id, { seenAt }] of written) if (seenAt < since) written.delete(id)
    },
  }
}

/** The verifiers that may not have the next key, because they were last given a ring without it. */
export async function behind(
  verifiers: Pick<VerifierStore, 'list'>,
  ring: Ring,
  now: EpochSeconds,
): Promise<KnownVerifier[]> {
  const known = await verifiers.list(now - RETENTION.verifiers.seconds)
  return known.filter((verifier) => verifier.ringVersion < nextKey(ring).publishedIn)
}

/** The names without duplicates, because an operator looks for a service and not for a process. */
export function namesOf(verifiers: readonly KnownVerifier[]): string[] {
  return [...new Set(verifiers.map(({ name }) => name))]
}
