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
import { fetchDocument, isTimeout } from './fetch-document.ts'
import { type Keys, readJwks, type VerificationKey } from './jwks.ts'
import type { KeysFile } from './keys-file.ts'

export interface KeySourceOptions {
  readonly discovery: Discovery
  readonly algorithms: readonly AlgorithmName[]
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Sent with each fetch; how a verifier makes itself known. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds, monotonic. */
  readonly monotonic: () => number
  readonly file: KeysFile | undefined
}

export interface KeySource {
  /** The key without waiting; undefined if it is not held, or what is held is too old to be used unasked. */
  held(kid: string): VerificationKey | undefined
  /** @throws {VerifyError} unknown_key, keys_unavailable */
  find(kid: string): Promise<VerificationKey>
  /** Fetches now, unless a fetch is going on. @throws {VerifyError} keys_unavailable, if none are held either */
  refresh(): Promise<void>
  /** Fetches in the background if it is time to. */
  renewIfDue(): void
}

/** Between two fetches caused by unknown kids; a real new key passes within this and one round trip. */
const COOLDOWN_MS = 800
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
  let keys = keptKeys(options)
  let source: { readonly uri: string; readonly etag: string | undefined } | undefined
  let lifetime = USUAL_MS
  let renewAt = Number.NEGATIVE_INFINITY
  let freshUntil = Number.NEGATIVE_INFINITY
  let lastStart = Number.NEGATIVE_INFINITY
  /** Fetches are numbered, to tell which began before a question and which after. */
  let started = 0
  let lastGood = 0
  /** The last attempt timed out: nobody is made to wait for the next ones. */
  let hanging = false
  let fetching: Promise<void> | undefined
  let soon: Promise<void> | undefined
  let waiting = 0
  const missing = new Map<string, number>()

  async function fetchKeys(): Promise<void> {
    started += 1
    const number = started
    lastStart = monotonic()
    try {
      const uri = await discovery.jwksUri()
      const answer = await fetchDocument(uri, {
        ...options,
        maxBytes: MAX_BYTES,
        accept: 'application/jwk-set+json, application/json',
        etag: source?.uri === uri ? source.etag : undefined,
      })
      if (!answer.unchanged) take(JSON.parse(answer.text))
      source = { uri, etag: answer.etag }
      // RFC 9111 §4.3.4: a 304 that says nothing about it leaves the lifetime as it was.
      if (answer.maxAge !== undefined) lifetime = answer.maxAge * 1000
      else if (!answer.unchanged) lifetime = USUAL_MS
      hold(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, lifetime)))
      lastGood = number
      hanging = false
    } catch (error) {
      discovery.doubt()
      hanging = isTimeout(error)
      renewAt = monotonic() + RETRY_MS
      // From here on nobody waits for a server that does not answer: what is held serves until it does.
      freshUntil = Number.POSITIVE_INFINITY
      throw unavailable(error)
    }
  }

  function take(jwks: object): void {
    keys = withSameKeys(readJwks(jwks, algorithms), keys)
    missing.clear()
    void options.file?.write(jwks)
  }

  function hold(forMs: number): void {
    const now = monotonic()
    renewAt = now + forMs * AHEAD
    freshUntil = now + forMs
  }

  function fetchOnce(): Promise<void> {
    fetching ??= fetchKeys().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  /** A fetch that starts from now on, shared by all who ask before it starts, and not before the cool-down. */
  function fetchSoon(): Promise<void> {
    soon ??= (async () => {
      // One that is under way may have been answered before the key was there.
      await fetching?.catch(() => {})
      const wait = lastStart + COOLDOWN_MS - monotonic()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      soon = undefined
      return fetchOnce()
    })()
    return soon
  }

  /** Known keys go on serving while the server is away. */
  async function refresh(): Promise<void> {
    try {
      await fetchOnce()
    } catch (error) {
      if (keys.size === 0) throw error
    }
  }

  /** `before` is the last fetch that began before anybody asked. */
  async function findNew(kid: string, before: number): Promise<VerificationKey> {
    if (lastGood <= before) await askAgain(kid)
    const key = keys.get(kid)
    if (key) return key
    if (missing.size >= MOST_MISSING) missing.delete(missing.keys().next().value as string)
    missing.set(kid, monotonic() + MISSING_FOR_MS)
    throw unknown()
  }

  async function askAgain(kid: string): Promise<void> {
    const until = missing.get(kid)
    if (until !== undefined && monotonic() < until) throw unknown()
    if (hanging || waiting >= MOST_WAITING) {
      fetchSoon().catch(() => {})
      throw unavailable()
    }
    waiting += 1
    try {
      await fetchSoon()
    } finally {
      waiting -= 1
    }
  }

  function renewIfDue(): void {
    // A failure is no news: what is held goes on, and the next one tries again.
    if (monotonic() >= renewAt && !fetching) fetchOnce().catch(() => {})
  }

  return {
    held(kid) {
      const now = monotonic()
      if (now >= freshUntil) return undefined
      if (now >= renewAt) renewIfDue()
      return keys.get(kid)
    },

    async find(kid) {
      const before = started
      if (monotonic() >= freshUntil) await refresh()
      return keys.get(kid) ?? findNew(kid, before)
    },

    refresh,
    renewIfDue,
  }
}

function keptKeys({ file, algorithms }: KeySourceOptions): Keys {
  const kept = file?.read()
  try {
    return kept === undefined ? new Map() : readJwks(kept, algorithms)
  } catch {
    return new Map()
  }
}

/** The same object for the same key, so that what was verified with it is known to be. */
function withSameKeys(fresh: Keys, held: Keys): Keys {
  return new Map(
    [...fresh].map(([kid, key]) => {
      const before = held.get(kid)
      return [kid, before && before.alg === key.alg && before.key.equals(key.key) ? before : key]
    }),
  )
}

function unknown(): VerifyError {
  return new VerifyError('unknown_key', 'the issuer has no key of this kid')
}

function unavailable(cause?: unknown): VerifyError {
  return new VerifyError('keys_unavailable', 'the keys of the issuer cannot be fetched', { cause })
}
