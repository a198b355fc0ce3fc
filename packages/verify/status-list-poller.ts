/**
 * The issuer's status lists as this process caches them: they say which tokens were revoked. The lists are polled in the
 * background; checking a token never waits and never makes a request. This module must not know how a list is published.
 */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { VerifyError } from './errors.ts'
import { fetchDocument } from './fetch-document.ts'
import { readStatusList, type StatusList, statusAt } from './status-list.ts'

export interface StatusListOptions {
  /**
   * Whether a token is accepted when its list was never fetched, has expired, or is older than `staleAfter`. With
   * `reject`, such a token is refused with `status_unavailable`. Default: `accept`. A token whose list this process has no room
   * for is refused with either value, because no later poll would make its revocation known.
   */
  readonly onStale?: 'accept' | 'reject'
  /** A list is stale this many seconds after its last successful poll. Default: 300. */
  readonly staleAfter?: number
  /** Lists to poll from the start, in addition to those that the issuer's metadata and the tokens name. */
  readonly uris?: readonly string[]
}

interface StatusListPoller {
  /** @throws {VerifyError} revoked, status_unavailable */
  check(claims: AccessTokenClaims): void
  /** Polls the lists that are due. Never rejects: a list that cannot be fetched becomes stale. */
  pollDue(): Promise<void>
  /** Polls all lists, including those that the issuer has added. Never rejects. */
  pollAll(): Promise<void>
}

export interface StatusListPollerDeps extends StatusListOptions {
  readonly issuer: string
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Seconds since 1970. */
  readonly clock: () => number
  /** How far clocks may differ, in seconds. */
  readonly leeway: number
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number
  /** Returns the address of the issuer's list of lists, if it has one. */
  readonly aggregationUri: () => Promise<string | undefined>
  /** Returns the claims of a JWT of the issuer with this `typ`, after it has verified its signature and times. */
  readonly verifyJwt: (jwt: string, typ: string) => Promise<Record<string, unknown>>
}

/** Times are seconds of the monotonic clock. */
interface Entry {
  readonly uri: string
  list: StatusList | undefined
  etag: string | undefined
  /** When the server last confirmed the list. */
  polledAt: number
  nextPollAt: number
  /** The list was published, and it is larger than the room for it. */
  noRoom: boolean
  /** The poll in progress. */
  polling: Promise<void> | undefined
  /** When a token or the issuer last named the list. */
  namedAt: number
}

const MAX_BYTES = 1_048_576
/** 33 million tokens at one bit each. A decompression bomb is stopped here. */
const MAX_DECOMPRESSED_BYTES = 4_194_304
/** Limit of all lists together. */
const MAX_CACHED_BYTES = 67_108_864
const MAX_LISTS = 1000
const MAX_CONCURRENT_POLLS = 8
/** Bounds on the time between polls, whatever the issuer says (§11.5), and the time if it does not say. */
const MIN_POLL_S = 1
const MAX_POLL_S = 3600
const DEFAULT_POLL_S = 60
const RETRY_DELAY_S = 5
const AGGREGATION_POLL_S = 60
/** A list that is not named for this long is dropped: all of its tokens have expired. */
const UNNAMED_RETENTION_S = 86_400

export function createStatusListPoller(deps: StatusListPollerDeps): StatusListPoller {
  const { clock, onStale = 'accept', staleAfter = 300, uris = [] } = deps
  const origin = new URL(deps.issuer).origin
  const entries = new Map<string, Entry>()
  let nextAggregationAt = Number.NEGATIVE_INFINITY
  // Lists that are decompressed at the same time would all use the same room, and then none of them could be replaced.
  const inTurn = createTurns()
  const now = () => deps.monotonic() / 1000
  for (const uri of uris) entryFor(uri)

  /** A token must not make this process call any address: only the issuer's origin and configured lists are polled. */
  function entryFor(uri: string): Entry | undefined {
    const known = entries.get(uri)
    if (known) return known
    if (!mayPoll(uri) || entries.size >= MAX_LISTS) return undefined
    const times = { polledAt: Number.NEGATIVE_INFINITY, nextPollAt: Number.NEGATIVE_INFINITY, namedAt: now() }
    const entry = { uri, list: undefined, etag: undefined, noRoom: false, polling: undefined, ...times }
    entries.set(uri, entry)
    return entry
  }

  function mayPoll(uri: string): boolean {
    return uris.includes(uri) || hasOrigin(uri, origin)
  }

  /** Adds the lists that the issuer names (§9). */
  async function fetchAggregation(): Promise<void> {
    nextAggregationAt = now() + AGGREGATION_POLL_S
    const url = await deps.aggregationUri()
    if (url === undefined) return
    const document = await fetchDocument(url, { ...deps, maxBytes: MAX_BYTES, accept: 'application/json' })
    const { status_lists: listed } = JSON.parse(document.text) as { status_lists?: unknown }
    for (const uri of Array.isArray(listed) ? listed : []) {
      const entry = typeof uri === 'string' ? entryFor(uri) : undefined
      if (entry) entry.namedAt = now()
    }
  }

  async function poll(entry: Entry): Promise<void> {
    try {
      const wait = await fetchList(entry)
      entry.polledAt = now()
      // Soon enough that the list does not become stale only because it was not polled.
      const bounded = Math.min(wait, MAX_POLL_S, staleAfter / 2)
      entry.nextPollAt = entry.polledAt + Math.max(MIN_POLL_S, bounded)
    } catch {
      entry.nextPollAt = now() + RETRY_DELAY_S
    } finally {
      entry.polling = undefined
    }
  }

  /** Returns the seconds after which there may be a newer list. @throws {Error} */
  async function fetchList(entry: Entry): Promise<number> {
    const document = await fetchDocument(entry.uri, {
      ...deps,
      maxBytes: MAX_BYTES,
      accept: 'application/statuslist+jwt',
      etag: entry.etag,
    })
    if (!document.unchanged) {
      const claims = await deps.verifyJwt(document.text.trim(), 'statuslist+jwt')
      await inTurn(() => decompress(entry, claims))
      entry.etag = document.etag
    }
    const { ttl, exp } = entry.list ?? {}
    // §8.2: the ttl in the signed token has precedence over HTTP caching headers.
    return Math.min(ttl ?? document.maxAge ?? DEFAULT_POLL_S, exp === undefined ? MAX_POLL_S : exp - clock())
  }

  async function decompress(entry: Entry, claims: Record<string, unknown>): Promise<void> {
    const others = [...entries.values()].filter((other) => other !== entry)
    const cached = others.reduce((sum, other) => sum + (other.list?.bytes.length ?? 0), 0)
    const room = Math.min(MAX_DECOMPRESSED_BYTES, MAX_CACHED_BYTES - cached)
    try {
      entry.list = await readStatusList(claims, entry.uri, room)
      entry.noRoom = false
    } catch (error) {
      entry.noRoom = (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE'
      throw error
    }
  }

  /** Polls a few lists at a time. `isDue` is called again, because another call may have polled the list meanwhile. */
  async function pollEach(due: readonly Entry[], isDue: (entry: Entry) => boolean): Promise<void> {
    const queue = due.values()
    await Promise.all(
      Array.from({ length: MAX_CONCURRENT_POLLS }, async () => {
        for (const entry of queue) {
          if (!entry.polling && isDue(entry)) entry.polling = poll(entry)
          await entry.polling
        }
      }),
    )
  }

  function prune(): void {
    for (const { uri, namedAt } of entries.values()) {
      if (now() - namedAt > UNNAMED_RETENTION_S && !uris.includes(uri)) entries.delete(uri)
    }
  }

  const isStale = ({ list, polledAt }: Entry): boolean =>
    now() - polledAt > staleAfter || (list?.exp !== undefined && clock() >= list.exp + deps.leeway)

  return {
    check({ status }) {
      const reference = status?.status_list
      if (!reference) return
      const entry = entryFor(reference.uri)
      const value = entry?.list && statusAt(entry.list, reference.idx)
      if (entry) entry.namedAt = now()
      // §7.1: 0 is VALID, every other value is not. This holds for a stale list too: a revoked token stays revoked.
      if (value) throw new VerifyError('revoked', 'the token was revoked')
      if (entry?.list && value === undefined) {
        // §8.3: a token beyond the end of its list must be refused. The list may have grown, so it is polled soon.
        entry.nextPollAt = Math.min(entry.nextPollAt, entry.polledAt + MIN_POLL_S)
        throw statusUnavailable()
      }
      // A list that no poll can load must not be treated like one that is only late: revocation would silently be off.
      if (entry?.noRoom || (!entry && mayPoll(reference.uri))) throw noRoom()
      if (onStale === 'reject' && (!entry?.list || isStale(entry))) throw statusUnavailable()
    },

    async pollDue() {
      prune()
      if (now() >= nextAggregationAt) fetchAggregation().catch(() => {})
      const isDue = ({ nextPollAt }: Entry) => now() >= nextPollAt
      await pollEach([...entries.values()].filter(isDue), isDue)
    },

    async pollAll() {
      await fetchAggregation().catch(() => {})
      await pollEach([...entries.values()], () => true)
    },
  }
}

/** Runs one task after the other, whether or not the earlier ones fail. */
function createTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const result = last.then(task)
    last = result.catch(() => {})
    return result
  }
}

function hasOrigin(uri: string, origin: string): boolean {
  return URL.canParse(uri) && new URL(uri).origin === origin
}

function noRoom(): VerifyError {
  return new VerifyError('status_unavailable', 'this verifier has no room for the status list of the token')
}

function statusUnavailable(): VerifyError {
  return new VerifyError('status_unavailable', 'it is not known whether the token was revoked')
}
