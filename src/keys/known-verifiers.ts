/**
 * Who holds which keys, as far as verifiers tell: the promotion gate. It can only add caution, because one that
 * reads the JWKS through a cache is not seen. Must not know HTTP beyond the text of one header.
 */

import type { Ring } from '../store/contracts/ring.ts'
import type { KnownVerifier, VerifierStore } from '../store/contracts/verifiers.ts'
import { RETENTION } from '../store/retention.ts'
import type { Clock, EpochSeconds, Logger, Seconds } from '../system.ts'
import { nextKey } from './ring.ts'

/** The request header by which a verifier makes itself known: `orders; instance=4fK…`. */
export const VERIFIER_HEADER = 'keyturn-verifier'
const HEADER = /^([A-Za-z0-9._-]{1,64}); ?instance=([A-Za-z0-9_-]{1,64})$/

export interface KnownVerifiers {
  /** Notes that whoever sent this header was given the JWKS of this ring. Returns at once, and never throws. */
  served(header: unknown, ringVersion: number): void
  /** Writes what was noted; called by the change poller. */
  flush(): Promise<void>
}

/** The endpoint is open to everybody: no more strangers than this are remembered between two flushes, and at all. */
const MOST_NOTED = 1000
const MOST_KNOWN = 10_000
/** A verifier that asks again for what it has is written down this often. */
const REPEAT: Seconds = 60

export interface KnownVerifiersDeps {
  readonly verifiers: VerifierStore
  readonly clock: Clock
  readonly logger: Pick<Logger, 'warn'>
}

export function createKnownVerifiers({ verifiers, clock, logger }: KnownVerifiersDeps): KnownVerifiers {
  const written = new Map<string, KnownVerifier>()
  let noted = new Map<string, KnownVerifier>()

  return {
    served(header, ringVersion) {
      const [, name, instance] = typeof header === 'string' ? (HEADER.exec(header) ?? []) : []
      if (!name || !instance) return
      const id = `${name};${instance}`
      const before = written.get(id)
      const now = clock.now()
      if (before && before.ringVersion >= ringVersion && now - before.seenAt < REPEAT) return
      if (noted.size >= MOST_NOTED || (!before && written.size >= MOST_KNOWN)) return
      noted.set(id, { name, instance, ringVersion, seenAt: now })
    },

    async flush() {
      if (noted.size === 0) return
      const batch = noted
      noted = new Map()
      try {
        await verifiers.record([...batch.values()])
        for (const [id, verifier] of batch) written.set(id, verifier)
      } catch (error) {
        // They will ask again; until then they count as behind, which is the safe side.
        logger.warn({ err: error }, 'known verifiers could not be written down')
      }
      const since = clock.now() - RETENTION.verifiers.seconds
      for (const [id, { seenAt }] of written) if (seenAt < since) written.delete(id)
    },
  }
}

/** Those that may not hold the next key, because they were last given a ring without it. */
export async function behind(
  verifiers: Pick<VerifierStore, 'list'>,
  ring: Ring,
  now: EpochSeconds,
): Promise<KnownVerifier[]> {
  const known = await verifiers.list(now - RETENTION.verifiers.seconds)
  return known.filter((verifier) => verifier.ringVersion < nextKey(ring).publishedIn)
}

/** Each name once: an operator looks for a service, not for a process. */
export function namesOf(verifiers: readonly KnownVerifier[]): string[] {
  return [...new Set(verifiers.map(({ name }) => name))]
}
