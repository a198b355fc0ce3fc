/**
 * The audit log: the copy of the audit trail in the store. Events go into a queue, and small batches are written in the background,
 * each with a compare-and-swap of the head, which serializes the nodes. No request waits for a write. Must not know what an event
 * means, or write log lines for events.
 */
import type { AuditHead, AuditRow } from '../store/contracts/audit.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Clock, EpochSeconds, Random } from '../system.ts'
import { createAggregation } from './aggregation.ts'
import { type Anchor, type AnchorKeeper, isLater, type KeptAnchor } from './anchor.ts'
import { type AuditEntry, type AuditKeys, createRow, signatureOf, signHead } from './chain.ts'
import type { Audit } from './events.ts'
import { createTamperCheck, findStored, type LogState, type TamperCheckDeps } from './tamper-check.ts'

export interface AuditLog {
  /** Adds the event to the queue. Never throws. */
  record: Audit
  /**
   * Writes the queue, and with `all` also the aggregated rows whose window has not ended.
   * @throws if the store or the keys fail
   */
  flush(all?: 'all'): Promise<void>
  /** Checks whether someone has tampered with the log, and reports it. */
  check(): Promise<void>
  /** Signs the head of a new log. Call after the first data key and before the first ring is created. */
  signUnsigned(): Promise<void>
  /**
   * Accepts the log as it is, and appends the entry, if rows are kept. From then on the log is intact again.
   * @throws {Error} if there are no keys
   */
  accept(entry: AuditEntry | null): Promise<void>
  /** The head with a MAC of other keys, for the commit that stores them; null if the log is not intact. */
  signedWith(keys: AuditKeys): Promise<{ readonly expected: AuditHead; readonly head: AuditHead } | null>
  /** Updates the anchor outside the database, if the log is intact. @throws if it cannot be written */
  keepAnchor(): Promise<void>
  /** Deletes at most `limit` of the oldest rows that are older than `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
  state(): AuditLogState
  /** Calls the listener after each event. There is one listener. */
  onRecord(listener: () => void): void
}

interface AuditLogState {
  /** Rows that wait to be written. */
  readonly waiting: number
  /** Whether events are counted in aggregated rows, which are written when their window has ended. */
  readonly aggregating: boolean
  /** Rows that were written, and events that were dropped, since the process started. */
  readonly written: number
  readonly dropped: number
  /** `<seq>:<hash>` of the newest row that this process knows of. */
  readonly anchor: string | null
}

export interface AuditLogDeps extends TamperCheckDeps {
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly anchor: AnchorKeeper
  /** If more rows wait, the oldest are dropped, and only their number is recorded. */
  readonly maxWaiting: number
}

/** Rows in a batch. SQLite writes them on the event loop, which takes some milliseconds. */
const BATCH = 100
/** Each lost attempt means that another node has written a batch. */
const ATTEMPTS = 50

export function createAuditLog(deps: AuditLogDeps): AuditLog {
  const { rows, clock, random, anchor, maxWaiting } = deps
  const aggregation = createAggregation()
  const tamperCheck = createTamperCheck(deps)
  let queue: AuditEntry[] = []
  /** The batch that is being written. It stays unchanged until it is known to be stored. */
  let batch: AuditEntry[] = []
  /** Last rows of earlier attempts at this batch. After a lost connection, any of them may have been stored. */
  let possibleEnds: Anchor[] = []
  let cached: LogState | undefined
  /** The newest row of an intact log that this process or the store record knows. */
  let newest: KeptAnchor | undefined
  /** The anchor that this process has kept outside the database. */
  let kept: KeptAnchor | undefined
  let droppedEntry: AuditEntry | undefined
  let written = 0
  let dropped = 0
  let lastTask: Promise<unknown> = Promise.resolve()
  let listener = () => {}

  function add(entry: AuditEntry): void {
    queue.push(entry)
    if (queue.length > maxWaiting) drop(queue.splice(0, queue.length - maxWaiting))
  }

  function drop(entries: readonly AuditEntry[]): void {
    for (const { event, since, at, count } of entries) {
      if (event !== 'audit.dropped') dropped += count
      droppedEntry = {
        event: 'audit.dropped',
        fields: { actor: 'keyturn' },
        since: Math.min(since, droppedEntry?.since ?? since),
        at: Math.max(at, droppedEntry?.at ?? at),
        count: count + (droppedEntry?.count ?? 0),
      }
    }
  }

  /** null if the store has no keys yet. @throws {Error} if it has keys, but the master key is missing */
  async function loadKeys(): Promise<AuditKeys | null> {
    const keys = await deps.keys()
    if (!keys && (await deps.hasRing())) throw new Error('the master key is missing')
    return keys
  }

  /** Runs the tasks one after the other. */
  function enqueue<T>(work: () => Promise<T>): Promise<T> {
    const task = lastTask.then(work)
    lastTask = task.catch(() => {})
    return task
  }

  async function drain(all: boolean): Promise<void> {
    for (const entry of aggregation.take(clock.now(), all)) add(entry)
    while (batch.length > 0 || queue.length > 0 || droppedEntry) {
      if (batch.length === 0) {
        batch = queue.slice(0, BATCH)
        queue = queue.slice(BATCH)
        if (droppedEntry) batch.push(droppedEntry)
        droppedEntry = undefined
      }
      await writeBatch()
      written += batch.length
      batch = []
      possibleEnds = []
    }
  }

  async function writeBatch(): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      if (!cached && (await findStored(rows, possibleEnds))) return
      // Each attempt loads the keys again: a rotation of the master key may have moved the head, and then another data key signs.
      const keys = await loadKeys()
      const { head, last, intact } = cached ?? (await inspect(keys))
      const newRows: AuditRow[] = []
      for (const entry of batch) newRows.push(createRow(newRows.at(-1) ?? last, entry, random))
      const end = newRows.at(-1)
      if (!end) return
      const newHead = sign(keys, { ...head, seq: end.seq, hash: end.hash }, intact)
      cached = undefined
      possibleEnds.push(end)
      let added: boolean
      try {
        added = await rows.append(head, newRows, newHead)
      } catch (error) {
        if (error instanceof StoreUnavailable) throw error
        // A programming mistake, not a failure of the store: the batch must not block later rows forever.
        drop(batch)
        batch = []
        possibleEnds = []
        throw error
      }
      if (added) {
        cached = { head: newHead, last: end, intact }
        if (intact) newest = newHead
        return
      }
    }
    throw new StoreUnavailable(new Error('another node wrote the audit log first in every attempt'))
  }

  function sign(keys: AuditKeys | null, head: AuditHead, intact: boolean): AuditHead {
    // The old MAC does not fit the new head, so the damage stays visible.
    if (!intact) return { ...head, mac: head.mac ?? 'none' }
    return keys ? signHead(keys, head) : { ...head, mac: null }
  }

  async function inspect(keys: AuditKeys | null): Promise<LogState> {
    // The anchor is read before the log, because other nodes continue to write the log.
    newest ??= anchor.read() ?? undefined
    const state = await tamperCheck.inspect(keys, newest)
    if (state.intact) newest = state.head
    return state
  }

  /** False if the head was moved concurrently. */
  async function acceptOnce(keys: AuditKeys, entry: AuditEntry | null): Promise<boolean> {
    const { head, firstSeq, lastSeq } = await rows.state()
    if (!head) {
      await inspect(keys)
      return false
    }
    const isSigned = signatureOf(keys, head).by === 'newest'
    // Without a MAC, the beginning of the log is believed only if it fits the rows.
    const isBase = isSigned || firstSeq === null || firstSeq === head.baseSeq + 1
    const base = isBase
      ? { baseSeq: head.baseSeq, baseHash: head.baseHash }
      : { baseSeq: firstSeq - 1, baseHash: '' }
    const [lastRow] = lastSeq > 0 ? await rows.page(lastSeq - 1, 1) : []
    const found = lastRow ?? { seq: base.baseSeq, hash: base.baseHash }
    // A signed head names the last row, even if rows were cut off at the end. Their numbers are not used again, so that the gap stays visible.
    const last = entry && isSigned && head.seq > found.seq ? head : found
    const row = entry && createRow(last, entry, random)
    const { seq, hash } = row ?? last
    const earlier = Math.max(isSigned ? head.acceptedAt : 0, newest?.acceptedAt ?? 0)
    const newHead = signHead(keys, { seq, hash, ...base, acceptedAt: Math.max(clock.now(), earlier + 1) })
    if (!(await rows.append(head, row ? [row] : [], newHead))) return false
    cached = undefined
    newest = newHead
    return true
  }

  return {
    record(event, fields) {
      const now = clock.now()
      if (aggregation.admit(event, fields, now)) add({ event, fields, since: now, at: now, count: 1 })
      listener()
    },

    flush: (all) => enqueue(() => drain(all === 'all')),

    check: () =>
      enqueue(async () => {
        cached = await inspect(await loadKeys())
      }),

    signUnsigned: () =>
      enqueue(async () => {
        const keys = await loadKeys()
        const { head } = await rows.state()
        // With a ring, an unsigned head means that someone has tampered with it.
        if (!keys || !head || head.mac !== null || (await deps.hasRing())) return
        cached = undefined
        // If another process moves the head concurrently, that process signs it.
        await rows.append(head, [], signHead(keys, head))
      }),

    accept: (entry) =>
      enqueue(async () => {
        newest ??= anchor.read() ?? undefined
        for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
          const keys = await loadKeys()
          if (!keys) throw new Error('the store has no keys yet, so there is nothing to accept')
          if (await acceptOnce(keys, entry)) return
        }
        throw new StoreUnavailable(new Error('other nodes won every attempt to write the audit log'))
      }),

    signedWith: (keys) =>
      enqueue(async () => {
        const { head, intact } = await inspect(await loadKeys())
        cached = undefined
        return intact ? { expected: head, head: signHead(keys, head) } : null
      }),

    async keepAnchor() {
      if (!newest || (kept && !isLater(newest, kept))) return
      const { seq, hash, acceptedAt } = newest
      await anchor.advance({ seq, hash, acceptedAt })
      kept = { seq, hash, acceptedAt }
    },

    prune: (before, limit) =>
      enqueue(async () => {
        for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
          const keys = await loadKeys()
          const { head, intact } = await inspect(keys)
          // A log that was tampered with is evidence and is not pruned.
          if (!intact) return 0
          const page = await rows.page(head.baseSeq, limit)
          // The clocks of nodes differ slightly: a row between two old rows counts as old.
          const index = page.findLastIndex(({ at }) => at < before)
          const end = page[index]
          if (!end) return 0
          const newHead = sign(keys, { ...head, baseSeq: end.seq, baseHash: end.hash }, intact)
          cached = undefined
          if (await rows.prune(head, newHead)) return index + 1
        }
        return 0
      }),

    state: () => ({
      waiting: queue.length + batch.length,
      aggregating: aggregation.isOpen(),
      written,
      dropped,
      anchor: newest && newest.seq > 0 ? `${newest.seq}:${newest.hash}` : null,
    }),

    onRecord(called) {
      listener = called
    },
  }
}
