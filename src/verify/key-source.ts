/**
 * The issuer's keys as this process holds them. Fetched through discovery, held as long as the server says,
 * refreshed ahead of time in the background, and kept when the server cannot be reached. Must not know tokens.
 *
 * An unknown `kid` is either a new key or an attack. Both cause one shared fetch, at most one each cool-down; a
 * kid that the fetch did not bring is remembered as missing, so each kid has a budget of its own and thousands of
 * made-up ones cannot delay a real new one beyond the cool-down.
 */
import type { AlgorithmName } from './algorithms.ts'
import type { Discovery } from './discovery.ts'
import { VerifyError } from './errors.ts'
import { fetchDocument } from './fetch-document.ts'
import { readJwks, type VerificationKey } from './jwks.ts'

export interface KeySourceOptions {
  readonly discovery: Discovery
  readonly algorithms: readonly AlgorithmName[]
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Sent with each fetch; how a verifier makes itself known. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds, monotonic. */
  readonly monotonic: () => number
  /** Keys to begin with, before the first fetch: those of the last run. */
  readonly initial?: unknown
  /** Told of each new set, to keep it for a cold start. */
  readonly onKeys?: (jwks: string) => void
}

export interface KeySource {
  /** The key without waiting; undefined if it is not held, or what is held is too old to be used unasked. */
  held(kid: string): VerificationKey | undefined
  /** @throws {VerifyError} unknown_key, keys_unavailable */
  find(kid: string): Promise<VerificationKey>
  /** Fetches now, unless a fetch is going on. @throws {VerifyError} keys_unavailable */
  refresh(): Promise<void>
}

/** Between two fetches caused by unknown kids; a real new key passes within this and one round trip. */
export const COOLDOWN_MS = 800
/** Each kid that was not found may cause another fetch after this. */
const MISSING_FOR_MS = 10_000
const MOST_MISSING = 10_000
/** Requests that wait for a fetch at most; those beyond are refused at once. */
const MOST_WAITING = 20_000
/** Held this long at least and at most, whatever the server says, and so long if it says nothing. */
const SHORTEST_MS = 10_000
const LONGEST_MS = 86_400_000
const USUAL_MS = 300_000
/** Part of the lifetime after which it is renewed in the background. */
const AHEAD = 0.5
/** After a failed renewal, what is held is used without trying again for this long. */
const RETRY_MS = 5_000
const MAX_BYTES = 262_144

export function createKeySource(options: KeySourceOptions): KeySource {
  const { discovery, algorithms, monotonic } = options
  let keys = new Map<string, VerificationKey>()
  let etag: string | undefined
  let renewAt = Number.NEGATIVE_INFINITY
  let freshUntil = Number.NEGATIVE_INFINITY
  let lastStart = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | undefined
  let soon: Promise<void> | undefined
  let waiting = 0
  const missing = new Map<string, number>()

  if (options.initial !== undefined) keys = readJwks(options.initial, algorithms)

  async function fetchKeys(): Promise<void> {
    lastStart = monotonic()
    try {
      const answer = await fetchDocument(await discovery.jwksUri(), {
        fetch: options.fetch,
        timeoutMs: options.timeoutMs,
        maxBytes: MAX_BYTES,
        accept: 'application/jwk-set+json, application/json',
        headers: options.headers,
        etag,
      })
      if (!answer.unchanged) {
        keys = withSameKeys(readJwks(JSON.parse(answer.text), algorithms), keys)
        etag = answer.etag
        missing.clear()
        options.onKeys?.(answer.text)
      }
      const lifetime = answer.maxAge === undefined ? USUAL_MS : answer.maxAge * 1000
      hold(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, lifetime)))
    } catch (error) {
      renewAt = monotonic() + RETRY_MS
      // From here on nobody waits for a server that does not answer: what is held serves until it does.
      freshUntil = Number.POSITIVE_INFINITY
      throw new VerifyError('keys_unavailable', 'the keys of the issuer cannot be fetched', { cause: error })
    }
  }

  function hold(lifetime: number): void {
    const now = monotonic()
    renewAt = now + lifetime * AHEAD
    freshUntil = now + lifetime
  }

  function refresh(): Promise<void> {
    fetching ??= fetchKeys().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  /** A fetch that starts from now on, shared by all who ask before it starts, and not before the cool-down. */
  function refreshSoon(): Promise<void> {
    soon ??= (async () => {
      const wait = lastStart + COOLDOWN_MS - monotonic()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      soon = undefined
      return refresh()
    })()
    return soon
  }

  /** Known keys go on serving while the server is away; nobody but the first has to notice. */
  async function renew(): Promise<void> {
    try {
      await refresh()
    } catch (error) {
      if (keys.size === 0) throw error
    }
  }

  async function findNew(kid: string): Promise<VerificationKey> {
    const until = missing.get(kid)
    if (until !== undefined && monotonic() < until) throw unknown()
    if (waiting >= MOST_WAITING) throw unknown()
    waiting += 1
    try {
      await refreshSoon()
    } finally {
      waiting -= 1
    }
    const key = keys.get(kid)
    if (key) return key
    if (missing.size >= MOST_MISSING) missing.delete(missing.keys().next().value as string)
    missing.set(kid, monotonic() + MISSING_FOR_MS)
    throw unknown()
  }

  return {
    held(kid) {
      const now = monotonic()
      if (now >= freshUntil) return undefined
      // A failure is no news: what is held goes on, and the next one tries again.
      if (now >= renewAt && !fetching) refresh().catch(() => {})
      return keys.get(kid)
    },

    async find(kid) {
      if (monotonic() >= freshUntil) await renew()
      return keys.get(kid) ?? findNew(kid)
    },

    refresh,
  }
}

/** The same object for the same key, so that what was verified with it is known to be. */
function withSameKeys(fresh: Map<string, VerificationKey>, held: ReadonlyMap<string, VerificationKey>) {
  for (const [kid, key] of fresh) {
    const before = held.get(kid)
    if (before && before.alg === key.alg && before.key.equals(key.key)) fresh.set(kid, before)
  }
  return fresh
}

function unknown(): VerifyError {
  return new VerifyError('unknown_key', 'the issuer has no key of this kid')
}
