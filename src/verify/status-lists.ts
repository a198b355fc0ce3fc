/**
 * Token Status List (draft-ietf-oauth-status-list): which tokens were taken back, as compressed bit fields that
 * the issuer signs. Polled in the background; asking about a token never waits and never calls anybody.
 */
import { inflateSync } from 'node:zlib'
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError } from './errors.ts'
import { fetchDocument } from './fetch-document.ts'

export interface StatusOptions {
  /** What to do when the list is not held, or is older than `staleAfter`. Default: `accept`. */
  readonly onStale?: 'accept' | 'reject'
  /** Seconds after the last successful poll. Default: 300. */
  readonly staleAfter?: number
  /** Further lists to poll from the start; those that the issuer lists, and those that tokens name, are found. */
  readonly uris?: readonly string[]
}

export interface StatusLists {
  /** @throws {VerifyError} revoked, status_unavailable */
  check(claims: AccessTokenClaims): void
  /** Polls what is due; with `all`, everything. Never throws: a list that cannot be had grows old. */
  poll(all?: boolean): Promise<void>
}

export interface StatusListsDeps extends StatusOptions {
  readonly issuer: string
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Milliseconds, monotonic. */
  readonly monotonic: () => number
  /** The issuer's own list of lists. */
  readonly aggregation: () => Promise<string | undefined>
  /** Claims of a JWT of the issuer with this `typ`, signature and times checked. */
  readonly verifyJwt: (jwt: string, typ: string) => Promise<Record<string, unknown>>
}

interface List {
  readonly uri: string
  bits: number
  bytes: Uint8Array | undefined
  etag: string | undefined
  /** When it was last known to be right. */
  seenAt: number
  pollAt: number
}

const MAX_BYTES = 1_048_576
/** Two million tokens at one bit each, and room: what a bomb would expand to is never allocated. */
const MAX_INFLATED = 4_194_304
const MOST_LISTS = 1000
const USUAL_TTL_S = 60
const SHORTEST_TTL_S = 1
const AGGREGATION_EVERY_MS = 60_000

export function createStatusLists(deps: StatusListsDeps): StatusLists {
  const { monotonic, onStale = 'accept', staleAfter = 300 } = deps
  const origin = new URL(deps.issuer).origin
  const lists = new Map<string, List>()
  let polling: Promise<void> | undefined
  let aggregateAt = Number.NEGATIVE_INFINITY
  for (const uri of deps.uris ?? []) add(uri)

  function add(uri: string): List | undefined {
    let list = lists.get(uri)
    if (!list && lists.size < MOST_LISTS) {
      list = { uri, bits: 1, bytes: undefined, etag: undefined, seenAt: Number.NEGATIVE_INFINITY, pollAt: 0 }
      lists.set(uri, list)
    }
    return list
  }

  async function findLists(): Promise<void> {
    if (monotonic() < aggregateAt) return
    aggregateAt = monotonic() + AGGREGATION_EVERY_MS
    const url = await deps.aggregation()
    if (url === undefined) return
    const answer = await fetchDocument(url, { ...deps, maxBytes: MAX_BYTES, accept: 'application/json' })
    const { status_lists: uris } = JSON.parse(answer.text) as { status_lists?: unknown }
    if (Array.isArray(uris)) for (const uri of uris) if (isOwn(uri)) add(uri)
  }

  /** A token may not make us call whomever it names. */
  function isOwn(uri: unknown): uri is string {
    return typeof uri === 'string' && URL.canParse(uri) && new URL(uri).origin === origin
  }

  async function pollList(list: List): Promise<void> {
    list.pollAt = monotonic() + USUAL_TTL_S * 1000
    const answer = await fetchDocument(list.uri, {
      ...deps,
      maxBytes: MAX_BYTES,
      accept: 'application/statuslist+jwt',
      etag: list.etag,
    })
    let ttl = answer.maxAge
    if (!answer.unchanged) {
      const claims = await deps.verifyJwt(answer.text.trim(), 'statuslist+jwt')
      if (claims.sub !== list.uri) throw new Error('the status list is another one')
      Object.assign(list, readList(claims.status_list), { etag: answer.etag })
      // §8.2: what the signed token says goes before what HTTP says.
      if (typeof claims.ttl === 'number' && claims.ttl > 0) ttl = claims.ttl
    }
    list.seenAt = monotonic()
    list.pollAt = list.seenAt + Math.max(SHORTEST_TTL_S, ttl ?? USUAL_TTL_S) * 1000
  }

  async function pollDue(all: boolean): Promise<void> {
    if (all) aggregateAt = Number.NEGATIVE_INFINITY
    await findLists().catch(() => {})
    const due = [...lists.values()].filter((list) => all || monotonic() >= list.pollAt)
    await Promise.all(due.map((list) => pollList(list).catch(() => {})))
  }

  return {
    check({ status }) {
      const entry = status?.status_list
      if (!entry) return
      const list = lists.get(entry.uri) ?? (isOwn(entry.uri) ? add(entry.uri) : undefined)
      if (list?.bytes && isSet(list.bytes, list.bits, entry.idx)) {
        throw new VerifyError('revoked', 'the token was revoked')
      }
      const stale = !list?.bytes || monotonic() - list.seenAt > staleAfter * 1000
      const outside = list?.bytes !== undefined && entry.idx >= (list.bytes.length * 8) / list.bits
      if ((stale || outside) && onStale === 'reject') {
        throw new VerifyError('status_unavailable', 'whether the token was revoked is not known')
      }
    },

    poll(all = false) {
      polling ??= pollDue(all).finally(() => {
        polling = undefined
      })
      return polling
    },
  }
}

const SIZES: readonly unknown[] = [1, 2, 4, 8]

/** §4.2: `lst` is zlib-compressed, then base64url. */
function readList(value: unknown): Pick<List, 'bits' | 'bytes'> {
  const { bits, lst } = (value ?? {}) as { bits?: unknown; lst?: unknown }
  if (!SIZES.includes(bits) || typeof lst !== 'string') throw new Error('the status list is malformed')
  return {
    bits: bits as number,
    bytes: inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: MAX_INFLATED }),
  }
}

/** §4.1: entries fill each byte from its least significant bit; 0 is VALID, everything else is not (§7.1). */
function isSet(bytes: Uint8Array, bits: number, index: number): boolean {
  const bit = index * bits
  const byte = bytes[Math.floor(bit / 8)] ?? 0
  return ((byte >> (bit % 8)) & (2 ** bits - 1)) !== 0
}
