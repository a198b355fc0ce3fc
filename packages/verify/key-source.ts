/**
 * The issuer's keys as this process caches them. They are fetched from the address that discovery finds, cached as long
 * as the server says, refreshed in the background before they expire, and still used while the server cannot be
 * reached. This module must not know tokens.
 *
 * An unknown `kid` is either a new key or an attack. Both cause one shared fetch, at most one in each cool-down. A kid
 * that the fetched set does not have is remembered as missing. So each kid has a budget of its own, and thousands of
 * made-up kids cannot delay a real new key beyond the cool-down.
 */
import type { Discovery } from './discovery.ts'
import { ConfigurationError, VerifyError } from './errors.ts'
import { fetchDocument, isTimeout } from './fetch-document.ts'
import { type Keys, readJwks, type VerificationKey } from './jwks.ts'
import type { KeysFile } from './keys-file.ts'
import type { AlgorithmName } from './signature-algorithms.ts'
import { singleFlight } from './single-flight.ts'

interface KeySourceOptions {
  readonly discovery: Discovery
  readonly algorithms: readonly AlgorithmName[]
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Sent with each fetch; they tell a Keyturn server which verifier this is. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number
  readonly file: KeysFile | undefined
}

export interface KeySource {
  /** Returns a cached key without waiting; undefined if the key is not cached or the cache has expired. */
  cached(kid: string): VerificationKey | undefined
  /** Returns a key, after a fetch if necessary. @throws {VerifyError | ConfigurationError} unknown_key, keys_unavailable */
  find(kid: string): Promise<VerificationKey>
  /**
   * Fetches the keys now, or joins a fetch in progress.
   * @throws {VerifyError | ConfigurationError} keys_unavailable, or the options are wrong, if no keys are cached
   */
  refresh(): Promise<void>
  /** Starts a fetch in the background if one is due. */
  refreshIfDue(): void
}

/** The least time between two fetches caused by unknown kids. A new key works after this and one round trip. */
const COOLDOWN_MS = 800
/** A kid that was not found may cause another fetch after this time. */
const MISSING_FOR_MS = 10_000
const MAX_MISSING = 10_000
/** How many requests may wait for a fetch; further ones are refused at once. */
const MAX_WAITING = 20_000
/** Bounds on how long keys are cached, and how long if the server does not say. */
const MIN_TTL_MS = 10_000
const MAX_TTL_MS = 86_400_000
const DEFAULT_TTL_MS = 300_000
/** Keys are refreshed in the background after this part of their lifetime. */
const REFRESH_AFTER = 0.5
/** How long the background refresh waits after a failed fetch. */
const RETRY_DELAY_MS = 5_000
const MAX_BYTES = 262_144

export function createKeySource(options: KeySourceOptions): KeySource {
  const { discovery, algorithms, monotonic } = options
  let keys = keysFromFile(options)
  let source: { readonly uri: string; readonly etag: string | undefined } | undefined
  let ttl = DEFAULT_TTL_MS
  let refreshAt = Number.NEGATIVE_INFINITY
  let expiresAt = Number.NEGATIVE_INFINITY
  let lastFetchAt = Number.NEGATIVE_INFINITY
  /** Fetches are numbered, to know whether a fetch began before or after a call. */
  let lastStarted = 0
  let lastSucceeded = 0
  /** The last fetch timed out, so no request is made to wait for the next ones. */
  let serverHangs = false
  let waiting = 0
  const missing = new Map<string, number>()

  const fetchKeys = singleFlight(async () => {
    lastStarted += 1
    const number = lastStarted
    lastFetchAt = monotonic()
    try {
      const uri = await discovery.jwksUri()
      const document = await fetchDocument(uri, {
        ...options,
        maxBytes: MAX_BYTES,
        accept: 'application/jwk-set+json, application/json',
        etag: source?.uri === uri ? source.etag : undefined,
      })
      if (!document.unchanged) replaceKeys(JSON.parse(document.text))
      source = { uri, etag: document.etag }
      // RFC 9111 §4.3.4: a 304 without Cache-Control leaves the lifetime unchanged.
      if (document.maxAge !== undefined) ttl = document.maxAge * 1000
      else if (!document.unchanged) ttl = DEFAULT_TTL_MS
      setExpiry(Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, ttl)))
      lastSucceeded = number
      serverHangs = false
    } catch (error) {
      discovery.invalidate()
      serverHangs = isTimeout(error)
      refreshAt = monotonic() + RETRY_DELAY_MS
      // From now on no request waits for a server that does not answer: cached keys are used until it does.
      expiresAt = Number.POSITIVE_INFINITY
      throw error instanceof ConfigurationError ? error : keysUnavailable(error)
    }
  })

  function replaceKeys(jwks: object): void {
    keys = reuseEqualKeys(readJwks(jwks, algorithms), keys)
    missing.clear()
    void options.file?.write(jwks)
  }

  function setExpiry(ttlMs: number): void {
    const now = monotonic()
    refreshAt = now + ttlMs * REFRESH_AFTER
    expiresAt = now + ttlMs
  }

  /** Resolves when a fetch may start: after the fetch in progress, and after the cool-down. */
  const nextTurn = singleFlight(async () => {
    // The fetch in progress may have been answered before the new key was published.
    await fetchKeys.current?.catch(() => {})
    const wait = lastFetchAt + COOLDOWN_MS - monotonic()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
  })

  /** A fetch that begins after this call. All calls before it begins share it. */
  async function fetchAgain(): Promise<void> {
    await nextTurn()
    return fetchKeys()
  }

  /** While the server cannot be reached, cached keys stay in use. */
  async function refresh(): Promise<void> {
    try {
      await fetchKeys()
    } catch (error) {
      if (keys.size === 0) throw error
    }
  }

  /** `lastBefore` is the number of the last fetch that began before this kid was requested. */
  async function findUncached(kid: string, lastBefore: number): Promise<VerificationKey> {
    if (lastSucceeded <= lastBefore) await fetchFor(kid)
    const key = keys.get(kid)
    if (key) return key
    if (missing.size >= MAX_MISSING) missing.delete(missing.keys().next().value as string)
    missing.set(kid, monotonic() + MISSING_FOR_MS)
    throw unknownKey()
  }

  async function fetchFor(kid: string): Promise<void> {
    const missingUntil = missing.get(kid)
    if (missingUntil !== undefined && monotonic() < missingUntil) throw unknownKey()
    if (serverHangs || waiting >= MAX_WAITING) {
      fetchAgain().catch(() => {})
      throw keysUnavailable()
    }
    waiting += 1
    try {
      await fetchAgain()
    } finally {
      waiting -= 1
    }
  }

  function refreshIfDue(): void {
    // A failure needs no handling here: the cached keys stay in use, and the next call tries again.
    if (monotonic() >= refreshAt && !fetchKeys.current) fetchKeys().catch(() => {})
  }

  return {
    cached(kid) {
      const now = monotonic()
      if (now >= expiresAt) return undefined
      if (now >= refreshAt) refreshIfDue()
      return keys.get(kid)
    },

    async find(kid) {
      const lastBefore = lastStarted
      if (monotonic() >= expiresAt) await refresh()
      return keys.get(kid) ?? findUncached(kid, lastBefore)
    },

    refresh,
    refreshIfDue,
  }
}

function keysFromFile({ file, algorithms }: KeySourceOptions): Keys {
  const jwks = file?.read()
  try {
    return jwks === undefined ? new Map() : readJwks(jwks, algorithms)
  } catch {
    return new Map()
  }
}

/** Keeps the object of a key that has not changed, so that tokens in the cache stay valid. */
function reuseEqualKeys(fetched: Keys, cached: Keys): Keys {
  return new Map(
    [...fetched].map(([kid, key]) => {
      const before = cached.get(kid)
      return [kid, before && before.alg === key.alg && before.key.equals(key.key) ? before : key]
    }),
  )
}

function unknownKey(): VerifyError {
  return new VerifyError('unknown_key', 'the issuer has no key with this kid')
}

function keysUnavailable(cause?: unknown): VerifyError {
  return new VerifyError('keys_unavailable', 'the keys of the issuer cannot be fetched', { cause })
}
