/**
 * Records which JWKS each known verifier has fetched last. A rotation waits for verifiers that are behind. This can only delay a
 * rotation, because a verifier that reads the JWKS through a cache is unknown. Must not know HTTP except for the text of one header.
 */
import type { Ring } from '../store/contracts/ring.ts'
import type { KnownVerifier, ListedVerifier, VerifierStore } from '../store/contracts/verifiers.ts'
import { RETENTION } from '../store/retention.ts'
import type { Clock, EpochSeconds, Logger, Seconds } from '../system.ts'
import { laneNames, nextKey } from './ring.ts'

/** The request header with which a verifier identifies itself: `orders; instance=4fK…`. */
export const VERIFIER_HEADER = 'keyturn-verifier'
const HEADER = /^([A-Za-z0-9._-]{1,64}); ?instance=([A-Za-z0-9_-]{1,64})$/

export interface KnownVerifiers {
  /** Records that the sender of this header was given the JWKS of this ring version. Returns at once and never throws. */
  served(header: unknown, ringVersion: number): void
  /** Stores what was recorded. Called at every poll. */
  flush(): Promise<void>
}

/**
 * Anyone can send the header, so the number of verifiers is limited. Expected verifiers have a limit of their own, so that
 * made-up names cannot displace them.
 */
export const MAX_VERIFIERS = 1000
/** A verifier that fetches the same ring version again is stored at most this often. */
const MIN_INTERVAL: Seconds = 60
/** How often a node reads which names are expected. */
const NAMES_INTERVAL: Seconds = 5

export interface KnownVerifiersDeps {
  readonly verifiers: Pick<VerifierStore, 'record' | 'expected'>
  readonly clock: Clock
  readonly logger: Pick<Logger, 'warn'>
}

export async function createKnownVerifiers(deps: KnownVerifiersDeps): Promise<KnownVerifiers> {
  const { verifiers, clock, logger } = deps
  let names = new Set(await verifiers.expected())
  let readAt = clock.now()
  /** The verifiers that are stored or will be, by name and instance. */
  const seen = new Map<string, KnownVerifier>()
  let pending = new Map<string, KnownVerifier>()

  const isFull = (expected: boolean): boolean => {
    let count = 0
    for (const { name } of seen.values()) if (names.has(name) === expected) count += 1
    return count >= MAX_VERIFIERS
  }

  async function readNames(): Promise<void> {
    if (Math.abs(clock.now() - readAt) < NAMES_INTERVAL) return
    names = new Set(await verifiers.expected())
    readAt = clock.now()
  }

  return {
    served(header, ringVersion) {
      const [, name, instance] = typeof header === 'string' ? (HEADER.exec(header) ?? []) : []
      if (!name || !instance) return
      const id = `${name};${instance}`
      const previous = seen.get(id)
      const now = clock.now()
      if (previous && previous.ringVersion >= ringVersion && now - previous.seenAt < MIN_INTERVAL) return
      if (!previous && isFull(names.has(name))) return
      const verifier = { name, instance, ringVersion, seenAt: now }
      seen.set(id, verifier)
      pending.set(id, verifier)
    },

    async flush() {
      if (pending.size === 0) return
      const batch = pending
      pending = new Map()
      try {
        await readNames()
        await verifiers.record([...batch.values()])
      } catch (error) {
        // The verifiers will fetch the JWKS again. Until then they count as behind, which is safe.
        for (const id of batch.keys()) seen.delete(id)
        logger.warn({ err: error }, 'the known verifiers could not be stored')
      }
      const since = clock.now() - RETENTION.verifiers.seconds
      for (const [id, { seenAt }] of seen) if (seenAt < since) seen.delete(id)
    },
  }
}

/**
 * The expected verifiers that may not have the next key of a lane, because they were last given a ring without it. Anyone can send
 * the header, so rotations wait only for names that an administrator expects. A verifier that last fetched the JWKS longer ago than
 * `verifierCache` has no cached JWKS, so it is not behind.
 * @param lanes by default all
 */
export async function behind(
  verifiers: Pick<VerifierStore, 'list'>,
  ring: Ring,
  now: EpochSeconds,
  verifierCache: Seconds,
  lanes?: readonly string[],
): Promise<KnownVerifier[]> {
  return behindAmong(await verifiers.list(now - verifierCache), ring, lanes)
}

/** The same, among verifiers that may have a cached JWKS. */
export function behindAmong(
  known: readonly ListedVerifier[],
  ring: Ring,
  lanes?: readonly string[],
): ListedVerifier[] {
  return lacking(known, publishedInOfNext(ring, lanes))
}

/** The expected verifiers that were last given a ring older than this version. */
export const lacking = (known: readonly ListedVerifier[], version: number): ListedVerifier[] =>
  known.filter(({ expected, ringVersion }) => expected && ringVersion < version)

/** The version of the ring from which on the JWKS has the next keys of these lanes, by default of all. */
export const publishedInOfNext = (ring: Ring, lanes: readonly string[] = laneNames(ring)): number =>
  Math.max(...lanes.map((alg) => nextKey(ring, alg).publishedIn))

/** Which of the verifiers that may have a cached JWKS have one with this key, although the key has left the ring. */
export function holdersAmong<V extends KnownVerifier>(known: readonly V[], ring: Ring, kid: string): V[] {
  const publishedIn = ring.keys.find((key) => key.kid === kid)?.publishedIn ?? 0
  return known.filter(({ ringVersion }) => ringVersion >= publishedIn && ringVersion < ring.version)
}

/** Whether a verifier can send this name. */
export const isVerifierName = (name: string): boolean => HEADER.test(`${name}; instance=x`)

/**
 * Why a key must not sign yet, for the messages of errors.
 * @param key the key as part of a sentence
 * @param behind names of verifiers
 */
export function notHeldMessage(key: string, safeFrom: EpochSeconds, behind: readonly string[]): string {
  const names = behind.length === 0 ? '' : `; not fetched yet by ${behind.join(', ')}`
  return `a verifier may have a JWKS without ${key} until ${new Date(safeFrom * 1000).toISOString()}${names}`
}

/** The names without duplicates, because an operator looks for a service and not for a process. */
export function namesOf(verifiers: readonly KnownVerifier[]): string[] {
  return [...new Set(verifiers.map(({ name }) => name))]
}
