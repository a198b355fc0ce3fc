/**
 * The copy of the audit log that the store keeps. What happens is put into a queue at once and written behind it, in small
 * batches, each by compare-and-swap of the head: nodes that write at the same moment come one after the other, and no request
 * waits for any of it. Must not know what an event means; the log line is another's business, and out before.
 */

import type { AuditHead, AuditRow } from '../store/contracts/audit.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Clock, EpochSeconds } from '../system.ts'
import { createAggregation } from './aggregation.ts'
import { type AuditKeys, type Happened, link, signHead } from './chain.ts'
import type { Audit } from './events.ts'
import { createTamperCheck, type End, firstThere, type Known, type TamperCheckDeps } from './tamper-check.ts'

export interface AuditLog {
  /** Takes it in, at once and without fail. */
  record: Audit
  /** Writes what waits, and with `all` also what would have waited for more of its kind. @throws what the store or the key says */
  flush(all?: 'all'): Promise<void>
  /** Looks whether the log is as it was left; says so if not. */
  check(): Promise<void>
  /** Signs what was written before there was a key. To be called before the first ring is made. */
  adopt(): Promise<void>
  /** Deletes the oldest rows, if they are older; answers how many were looked at. */
  prune(before: EpochSeconds, limit: number): Promise<number>
  state(): AuditLogState
}

interface AuditLogState {
  /** Rows that wait to be written. */
  readonly waiting: number
  /** Rows that were written, and events that never will be, since the start. */
  readonly written: number
  readonly dropped: number
  /** `<seq>:<hash>` of the newest row that this process knows of. */
  readonly anchor: string | null
}

export interface AuditLogDeps extends TamperCheckDeps {
  readonly clock: Clock
  /** Rows that wait at most; the oldest beyond are counted, and then forgotten. */
  readonly mostWaiting: number
}

/** Rows in a batch. SQLite writes on the event loop: these take it some milliseconds. */
const BATCH = 100
/** Every attempt that was lost is a batch that somebody else has written. */
const ATTEMPTS = 50

export function createAuditLog(deps: AuditLogDeps): AuditLog {
  const { rows, clock, mostWaiting } = deps
  const aggregation = createAggregation()
  const tamperCheck = createTamperCheck(deps)
  let queue: Happened[] = []
  /** The batch that is being written. Stays together until it is known to be there. */
  let batch: Happened[] = []
  /** Ends of the batch as it may have been written: a lost connection leaves that open. */
  let doubts: End[] = []
  let known: Known | undefined
  let newest: End | undefined
  let lost: Happened | undefined
  let written = 0
  let dropped = 0
  let turn: Promise<unknown> = Promise.resolve()

  function add(happened: Happened): void {
    queue.push(happened)
    if (queue.length > mostWaiting) drop(queue.splice(0, queue.length - mostWaiting))
  }

  function drop(these: readonly Happened[]): void {
    for (const { event, since, at, count } of these) {
      if (event !== 'audit.dropped') dropped += count
      lost = {
        event: 'audit.dropped',
        fields: { actor: 'keyturn' },
        since: Math.min(since, lost?.since ?? since),
        at: Math.max(at, lost?.at ?? at),
        count: count + (lost?.count ?? 0),
      }
    }
  }

  async function keysNow(): Promise<AuditKeys | null> {
    const keys = await deps.keys()
    if (!keys && (await deps.hasRing())) throw new Error('the master key is missing')
    return keys
  }

  /** One after the other. */
  function next<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work)
    turn = mine.catch(() => {})
    return mine
  }

  async function drain(all: boolean): Promise<void> {
    for (const happened of aggregation.take(clock.now(), all)) add(happened)
    while (batch.length > 0 || queue.length > 0 || lost) {
      if (batch.length === 0) {
        batch = queue.slice(0, BATCH)
        queue = queue.slice(BATCH)
        if (lost) batch.push(lost)
        lost = undefined
      }
      await writeBatch()
      written += batch.length
      batch = []
      doubts = []
    }
  }

  async function writeBatch(): Promise<void> {
    const keys = await keysNow()
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const there = known ? null : await firstThere(rows, doubts)
      if (there) {
        newest = there
        return
      }
      const { head, last, sound } = known ?? (await look(keys))
      const fresh: AuditRow[] = []
      for (const happened of batch) fresh.push(link(fresh.at(-1) ?? last, happened))
      const end = fresh.at(-1)
      if (!end) return
      const moved = sign(keys, { ...head, seq: end.seq, hash: end.hash }, sound)
      known = undefined
      doubts.push(end)
      let added: boolean
      try {
        added = await rows.append(head, fresh, moved)
      } catch (error) {
        if (error instanceof StoreUnavailable) throw error
        // Not the store's trouble but a mistake of ours: the rows behind must not wait for these for ever.
        drop(batch)
        batch = []
        doubts = []
        throw error
      }
      if (added) {
        known = { head: moved, last: end, sound }
        newest = end
        return
      }
    }
    throw new StoreUnavailable(new Error('others are always faster'))
  }

  function sign(keys: AuditKeys | null, head: AuditHead, sound: boolean): AuditHead {
    // One that signs nothing stays, for it fits no head but its own.
    if (!sound) return { ...head, mac: head.mac ?? 'none' }
    return keys ? signHead(keys, head) : { ...head, mac: null }
  }

  async function look(keys: AuditKeys | null): Promise<Known> {
    const found = await tamperCheck.inspect(keys, newest)
    newest = found.head
    return found
  }

  return {
    record(event, fields) {
      const now = clock.now()
      if (aggregation.keeps(event, fields, now)) add({ event, fields, since: now, at: now, count: 1 })
    },

    flush: (all) => next(() => drain(all === 'all')),

    check: () =>
      next(async () => {
        known = await look(await keysNow())
      }),

    adopt: () =>
      next(async () => {
        const keys = await keysNow()
        const { head } = await rows.state()
        if (!keys || !head || head.mac !== null || head.seq === 0 || (await deps.hasRing())) return
        known = undefined
        // Whoever moves it meanwhile signs it.
        await rows.append(head, [], signHead(keys, head))
      }),

    prune: (before, limit) =>
      next(async () => {
        const keys = await keysNow()
        for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
          const { head, sound } = await look(keys)
          // What somebody has tampered with is evidence.
          if (!sound) return 0
          const page = await rows.page(head.baseSeq, limit)
          // The clocks of nodes differ a little: what is between two old rows is old.
          const index = page.findLastIndex(({ at }) => at < before)
          const end = page[index]
          if (!end) return 0
          const moved = sign(keys, { ...head, baseSeq: end.seq, baseHash: end.hash }, sound)
          known = undefined
          if (await rows.prune(head, moved)) return index + 1
        }
        return 0
      }),

    state: () => ({
      waiting: queue.length + batch.length,
      written,
      dropped,
      anchor: newest && newest.seq > 0 ? `${newest.seq}:${newest.hash}` : null,
    }),
  }
}
