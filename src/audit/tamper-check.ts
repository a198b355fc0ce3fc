/**
 * Checks whether someone other than Keyturn has changed the audit log, and reports it. Called before each write that does not
 * continue this node's own. Must not know how rows are written.
 */
import type { AuditHead, AuditRow, AuditStore } from '../store/contracts/audit.ts'
import type { Logger } from '../system.ts'
import { type AuditKeys, isSigned } from './chain.ts'
import type { Audit } from './events.ts'

/** The `reason` of `audit.broken`. */
type Problem = 'head changed' | 'head missing' | 'rows after the head' | 'rolled back'

export type RowRef = Pick<AuditRow, 'seq' | 'hash'>

export interface LogState {
  readonly head: AuditHead
  /** The row that the next row follows. */
  readonly last: RowRef
  /** If false, the head is moved without a valid MAC, so that the damage stays visible. */
  readonly intact: boolean
}

export interface TamperCheckDeps {
  readonly rows: AuditStore
  readonly logger: Logger
  /** null if there is no data key yet, or the master key is missing. */
  readonly keys: () => Promise<AuditKeys | null>
  /** Whether the store has a ring, and therefore a master key exists. */
  readonly hasRing: () => Promise<boolean>
  /** Audits that the log was tampered with. */
  readonly alarm: Audit
}

export function createTamperCheck({ rows, logger, keys: loadKeys, hasRing, alarm }: TamperCheckDeps) {
  const reported = new Set<Problem>()

  /**
   * Reads the state of the log, and checks whether a Keyturn node has written it.
   * @param newest the newest row that this process knows
   */
  async function inspect(keys: AuditKeys | null, newest: RowRef | undefined): Promise<LogState> {
    const { head, firstSeq, lastSeq } = await rows.state()
    if (!head) return replaceMissingHead(firstSeq, lastSeq, newest)
    const problem = await findProblem(keys, head, lastSeq, newest)
    if (problem) reportProblem(problem, head, newest)
    return {
      head,
      last: { seq: Math.max(head.seq, lastSeq), hash: head.hash },
      intact: problem === null || problem === 'rolled back',
    }
  }

  async function findProblem(
    keys: AuditKeys | null,
    head: AuditHead,
    lastSeq: number,
    newest: RowRef | undefined,
  ): Promise<Problem | null> {
    if (!(await isAuthentic(keys, head))) return 'head changed'
    if (lastSeq > head.seq) return 'rows after the head'
    if (!newest || head.baseSeq >= newest.seq || (await findStored(rows, [newest]))) return null
    // The row may have been pruned after the head was read.
    const reread = await rows.state()
    return (reread.head?.baseSeq ?? 0) >= newest.seq ? null : 'rolled back'
  }

  async function isAuthentic(keys: AuditKeys | null, head: AuditHead): Promise<boolean> {
    if (head.mac !== null) {
      if (keys !== null && isSigned(keys, head)) return true
      // Another node may have used a newer data key.
      const current = await loadKeys()
      return current !== null && isSigned(current, head)
    }
    return (head.seq === 0 && head.baseSeq === 0) || !(await hasRing())
  }

  /** Someone has deleted the head. The log continues with an invalid head, so that it never verifies again. */
  async function replaceMissingHead(
    firstSeq: number | null,
    lastSeq: number,
    newest: RowRef | undefined,
  ): Promise<LogState> {
    const [end] = lastSeq > 0 ? await rows.page(lastSeq - 1, 1) : []
    const head = {
      seq: lastSeq,
      hash: end?.hash ?? '',
      baseSeq: Math.max(0, (firstSeq ?? 1) - 1),
      baseHash: '',
      mac: 'none',
    }
    await rows.putHead(head)
    reportProblem('head missing', head, newest)
    return { head, last: head, intact: false }
  }

  function reportProblem(reason: Problem, { seq, hash }: AuditHead, newest: RowRef | undefined): void {
    if (reported.has(reason)) return
    reported.add(reason)
    logger.error(
      { reason, head: `${seq}:${hash}`, ...(newest ? { known: `${newest.seq}:${newest.hash}` } : {}) },
      'the audit log was tampered with: run keyturn audit verify',
    )
    alarm('audit.broken', { actor: 'keyturn', reason })
  }

  return { inspect }
}

/** The first of these rows that the store has with this hash. */
export async function findStored(rows: AuditStore, ends: readonly RowRef[]): Promise<RowRef | null> {
  for (const end of ends) {
    const [row] = await rows.page(end.seq - 1, 1)
    if (row?.seq === end.seq && row.hash === end.hash) return end
  }
  return null
}
