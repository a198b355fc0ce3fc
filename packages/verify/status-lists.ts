/**
 * The issuer's status lists as this process holds them: which tokens were taken back. Polled in the background;
 * asking about a token never waits and never calls anybody. Must not know how a list is made.
 */
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError } from './errors.ts'
import { fetchDocument } from './fetch-document.ts'
import { readStatusList, type StatusList, statusAt } from './status-list.ts'

export interface StatusOptions {
  /** What to do when the list is not held, has expired, or is older than `staleAfter`. Default: `accept`. */
  readonly onStale?: 'accept' | 'reject'
  /** Seconds after the last successful poll. Default: 300. */
  readonly staleAfter?: number
  /** Further lists to poll from the start; those that the issuer lists, and those that tokens name, are found. */
  readonly uris?: readonly string[]
}

export interface StatusLists {
  /** @throws {VerifyError} revoked, status_unavailable */
  check(claims: AccessTokenClaims): void
  /** Polls what is due. Never throws: a list that cannot be had grows old. */
  pollDue(): Promise<void>
  /** Polls everything, that of which the issuer tells only now as well. Never throws. */
  pollAll(): Promise<void>
}

export interface StatusListsDeps extends StatusOptions {
  readonly issuer: string
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Seconds since 1970. */
  readonly clock: () => number
  /** Seconds that clocks may differ. */
  readonly leeway: number
  /** Milliseconds, monotonic. */
  readonly monotonic: () => number
  /** The issuer's own list of lists. */
  readonly aggregation: () => Promise<string | undefined>
  /** Claims of a JWT of the issuer with this `typ`, signature and times checked. */
  readonly verifyJwt: (jwt: string, typ: string) => Promise<Record<string, unknown>>
}

interface Entry {
  readonly uri: string
  list: StatusList | undefined
  etag: string | undefined
  /** When it was last known to be right. */
  seenAt: number
  pollAt: number
  polling: Promise<void> | undefined
  /** When somebody last spoke of it. */
  namedAt: number
}

const MAX_BYTES = 1_048_576
/** 33 million tokens at one bit each: what a bomb would expand to beyond that is never allocated. */
const MOST_INFLATED = 4_194_304
/** Of all lists together. */
const MOST_HELD = 67_108_864
const MOST_LISTS = 1000
const AT_ONCE = 8
/** What the issuer says about when to ask again counts within these bounds (§11.5). */
const SHORTEST_S = 1
const LONGEST_S = 3600
const USUAL_S = 60
const RETRY_S = 5
const AGGREGATION_EVERY_S = 60
/** A list that nobody speaks of any more: all of its tokens have expired. */
const FORGOTTEN_S = 86_400

export function createStatusLists(deps: StatusListsDeps): StatusLists {
  const { clock, onStale = 'accept', staleAfter = 300, uris = [] } = deps
  const origin = new URL(deps.issuer).origin
  const entries = new Map<string, Entry>()
  let aggregateAt = Number.NEGATIVE_INFINITY
  const now = () => deps.monotonic() / 1000
  for (const uri of uris) entryOf(uri)

  /** A token may not make us call whomever it names; only the issuer, and whom this service was told to. */
  function entryOf(uri: string): Entry | undefined {
    const known = entries.get(uri)
    if (known) return known
    if (entries.size >= MOST_LISTS || !(uris.includes(uri) || isOf(origin, uri))) return undefined
    const times = { seenAt: Number.NEGATIVE_INFINITY, pollAt: Number.NEGATIVE_INFINITY, namedAt: now() }
    const entry = { uri, list: undefined, etag: undefined, polling: undefined, ...times }
    entries.set(uri, entry)
    return entry
  }

  async function findLists(): Promise<void> {
    aggregateAt = now() + AGGREGATION_EVERY_S
    const url = await deps.aggregation()
    if (url === undefined) return
    const answer = await fetchDocument(url, { ...deps, maxBytes: MAX_BYTES, accept: 'application/json' })
    const { status_lists: listed } = JSON.parse(answer.text) as { status_lists?: unknown }
    for (const uri of Array.isArray(listed) ? listed : []) {
      const entry = typeof uri === 'string' ? entryOf(uri) : undefined
      if (entry) entry.namedAt = now()
    }
  }

  async function poll(entry: Entry): Promise<void> {
    try {
      const wait = await fetchList(entry)
      entry.seenAt = now()
      // Not so late that it would count as old for no other reason.
      const bounded = Math.min(wait, LONGEST_S, staleAfter / 2)
      entry.pollAt = entry.seenAt + Math.max(SHORTEST_S, bounded)
    } catch {
      entry.pollAt = now() + RETRY_S
    } finally {
      entry.polling = undefined
    }
  }

  /** Seconds after which there may be a newer one. @throws {Error} */
  async function fetchList(entry: Entry): Promise<number> {
    const answer = await fetchDocument(entry.uri, {
      ...deps,
      maxBytes: MAX_BYTES,
      accept: 'application/statuslist+jwt',
      etag: entry.etag,
    })
    if (!answer.unchanged) {
      const claims = await deps.verifyJwt(answer.text.trim(), 'statuslist+jwt')
      const others = [...entries.values()].filter((other) => other !== entry)
      const held = others.reduce((sum, other) => sum + (other.list?.bytes.length ?? 0), 0)
      entry.list = await readStatusList(claims, entry.uri, Math.min(MOST_INFLATED, MOST_HELD - held))
      entry.etag = answer.etag
    }
    const { ttl, exp } = entry.list ?? {}
    // §8.2: what the signed token says goes before what HTTP says.
    return Math.min(ttl ?? answer.maxAge ?? USUAL_S, exp === undefined ? LONGEST_S : exp - clock())
  }

  /** A few at a time, and none twice: another call may have come to it first. */
  async function pollEach(due: readonly Entry[], isDue: (entry: Entry) => boolean): Promise<void> {
    const queue = due.values()
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const entry of queue) {
          if (!entry.polling && isDue(entry)) entry.polling = poll(entry)
          await entry.polling
        }
      }),
    )
  }

  function forget(): void {
    for (const { uri, namedAt } of entries.values()) {
      if (now() - namedAt > FORGOTTEN_S && !uris.includes(uri)) entries.delete(uri)
    }
  }

  const isStale = ({ list, seenAt }: Entry): boolean =>
    now() - seenAt > staleAfter || (list?.exp !== undefined && clock() >= list.exp + deps.leeway)

  return {
    check({ status }) {
      const named = status?.status_list
      if (!named) return
      const entry = entryOf(named.uri)
      const value = entry?.list && statusAt(entry.list, named.idx)
      if (entry) entry.namedAt = now()
      // §7.1: 0 is VALID, everything else is not. Of an old list this is still true: revoked stays revoked.
      if (value) throw new VerifyError('revoked', 'the token was revoked')
      if (entry?.list && value === undefined) {
        // §8.3: must be refused, whatever the policy. Unless the list has grown since, which the next poll will tell.
        entry.pollAt = Math.min(entry.pollAt, entry.seenAt + SHORTEST_S)
        throw notKnown()
      }
      if (onStale === 'reject' && (!entry?.list || isStale(entry))) throw notKnown()
    },

    async pollDue() {
      forget()
      if (now() >= aggregateAt) findLists().catch(() => {})
      const isDue = ({ pollAt }: Entry) => now() >= pollAt
      await pollEach([...entries.values()].filter(isDue), isDue)
    },

    async pollAll() {
      await findLists().catch(() => {})
      await pollEach([...entries.values()], () => true)
    },
  }
}

function isOf(origin: string, uri: string): boolean {
  return URL.canParse(uri) && new URL(uri).origin === origin
}

function notKnown(): VerifyError {
  return new VerifyError('status_unavailable', 'whether the token was revoked is not known')
}
