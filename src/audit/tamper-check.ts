/**
 * Looks at the audit log as it is found, and says so if it is not as Keyturn left it. Must not know how rows are written; who
 * writes asks first whether what is there is sound.
 */

import type { AuditHead, AuditRow, AuditStore } from '../store/contracts/audit.ts'
import type { Logger } from '../system.ts'
import { type AuditKeys, isSigned } from './chain.ts'
import type { Audit } from './events.ts'

/** What is wrong with the log as it was found. */
type Wrong = 'head changed' | 'head missing' | 'rows behind the head' | 'went back'

export type End = Pick<AuditRow, 'seq' | 'hash'>

export interface Known {
  readonly head: AuditHead
  /** What the next row follows. */
  readonly last: End
  /** Otherwise the head is moved on without a signature: what is wrong must stay to be seen. */
  readonly sound: boolean
}

export interface TamperCheckDeps {
  readonly rows: AuditStore
  readonly logger: Logger
  /** null if there is no data key yet, or the master key is missing. */
  readonly keys: () => Promise<AuditKeys | null>
  /** Whether there is a ring, and so a master key somewhere. */
  readonly hasRing: () => Promise<boolean>
  /** To be told, as an event, that the log is not as it was left. */
  readonly alarm: Audit
}

export function createTamperCheck({ rows, logger, keys: keysNow, hasRing, alarm }: TamperCheckDeps) {
  const alarmed = new Set<Wrong>()

  /**
   * The log as the store has it now, and whether it is as one of us has left it.
   * @param newest the last row that this process knows of
   */
  async function inspect(keys: AuditKeys | null, newest: End | undefined): Promise<Known> {
    const { head, firstSeq, lastSeq } = await rows.state()
    if (!head) return putHead(firstSeq, lastSeq, newest)
    const wrong = await whatIsWrong(keys, head, lastSeq, newest)
    if (wrong) sayWrong(wrong, head, newest)
    return {
      head,
      last: { seq: Math.max(head.seq, lastSeq), hash: head.hash },
      sound: wrong === null || wrong === 'went back',
    }
  }

  async function whatIsWrong(
    keys: AuditKeys | null,
    head: AuditHead,
    lastSeq: number,
    newest: End | undefined,
  ): Promise<Wrong | null> {
    if (!(await isOurs(keys, head))) return 'head changed'
    if (lastSeq > head.seq) return 'rows behind the head'
    if (!newest || head.baseSeq >= newest.seq || (await firstThere(rows, [newest]))) return null
    // It may have been pruned in this very moment.
    const again = await rows.state()
    return (again.head?.baseSeq ?? 0) >= newest.seq ? null : 'went back'
  }

  async function isOurs(keys: AuditKeys | null, head: AuditHead): Promise<boolean> {
    if (head.mac !== null) {
      if (keys !== null && isSigned(keys, head)) return true
      // Another node may have used a new data key in the meantime.
      const now = await keysNow()
      return now !== null && isSigned(now, head)
    }
    return (head.seq === 0 && head.baseSeq === 0) || !(await hasRing())
  }

  /** Somebody has deleted it. The log goes on, and never looks whole again. */
  async function putHead(firstSeq: number | null, lastSeq: number, newest: End | undefined): Promise<Known> {
    const [end] = lastSeq > 0 ? await rows.page(lastSeq - 1, 1) : []
    const head = {
      seq: lastSeq,
      hash: end?.hash ?? '',
      baseSeq: Math.max(0, (firstSeq ?? 1) - 1),
      baseHash: '',
      mac: 'none',
    }
    await rows.putHead(head)
    sayWrong('head missing', head, newest)
    return { head, last: head, sound: false }
  }

  function sayWrong(reason: Wrong, { seq, hash }: AuditHead, newest: End | undefined): void {
    if (alarmed.has(reason)) return
    alarmed.add(reason)
    logger.error(
      { reason, head: `${seq}:${hash}`, ...(newest ? { known: `${newest.seq}:${newest.hash}` } : {}) },
      'the audit log is not as it was left: keyturn audit verify',
    )
    alarm('audit.broken', { actor: 'keyturn', reason })
  }

  return { inspect }
}

/** The first of these rows that is in the store as it was written. */
export async function firstThere(rows: AuditStore, ends: readonly End[]): Promise<End | null> {
  for (const end of ends) {
    const [row] = await rows.page(end.seq - 1, 1)
    if (row?.seq === end.seq && row.hash === end.hash) return end
  }
  return null
}
