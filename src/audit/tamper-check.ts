/**
 * Checks whether someone other than Keyturn has changed the audit log, and reports it. Called before a batch unless the previous
 * batch was written by this node. Must not know how rows are written.
 */
import { commandLine } from '../command-line.ts'
import type { AuditHead, AuditStore } from '../store/contracts/audit.ts'
import type { Logger } from '../system.ts'
import type { Anchor, KeptAnchor } from './anchor.ts'
import { type AuditKeys, type Signature, signatureOf } from './chain.ts'
import type { Audit } from './events.ts'

/** The `reason` of `audit.broken`. */
type Problem =
  | 'head changed'
  | 'head signed with an old key'
  | 'head missing'
  | 'rows after the head'
  | 'end cut off'
  | 'rolled back'

export interface LogState {
  readonly head: AuditHead
  /** The row that the next row follows. */
  readonly last: Anchor
  /** If false, the head is moved without a valid MAC, so that the damage stays visible until an administrator accepts it. */
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
   * @param newest the newest row of an intact log that this process or the store record knows
   */
  async function inspect(keys: AuditKeys | null, newest: KeptAnchor | undefined): Promise<LogState> {
    // Asked before the head is read: the head is signed before the ring is created, so with a ring no head is unsigned.
    const mustBeSigned = await hasRing()
    const { head, firstSeq, lastSeq } = await rows.state()
    if (!head) return replaceMissingHead(firstSeq, lastSeq, newest)
    const problem =
      (await findSignatureProblem(keys, head, mustBeSigned)) ?? (await findProblem(head, lastSeq, newest))
    if (problem) reportProblem(problem, head, newest)
    // An administrator has accepted the log, so the same problem is reported again if it comes back.
    else reported.clear()
    return { head, last: { seq: Math.max(head.seq, lastSeq), hash: head.hash }, intact: problem === null }
  }

  async function findProblem(
    head: AuditHead,
    lastSeq: number,
    newest: KeptAnchor | undefined,
  ): Promise<Problem | null> {
    if (lastSeq > head.seq) return 'rows after the head'
    if (head.seq > head.baseSeq && lastSeq < head.seq) return 'end cut off'
    return newest && (await wasRolledBack(head, newest)) ? 'rolled back' : null
  }

  async function wasRolledBack(head: AuditHead, newest: KeptAnchor): Promise<boolean> {
    if (head.acceptedAt !== newest.acceptedAt) return head.acceptedAt < newest.acceptedAt
    if (newest.seq <= head.baseSeq) return newest.seq === head.baseSeq && newest.hash !== head.baseHash
    if (await findStored(rows, [newest])) return false
    // The row may have been pruned after the head was read.
    const reread = await rows.state()
    return (reread.head?.baseSeq ?? 0) < newest.seq
  }

  async function findSignatureProblem(
    keys: AuditKeys | null,
    head: AuditHead,
    mustBeSigned: boolean,
  ): Promise<Problem | null> {
    let signature: Signature = signatureOf(keys, head)
    // Another node may have used a newer data key.
    if (signature.by !== 'newest') signature = signatureOf(await loadKeys(), head)
    if (signature.by === 'newest') return null
    if (signature.by === 'older') return 'head signed with an old key'
    return head.mac === null && !mustBeSigned ? null : 'head changed'
  }

  /** Someone has deleted the head. The log continues with an invalid head, until an administrator accepts it. */
  async function replaceMissingHead(
    firstSeq: number | null,
    lastSeq: number,
    newest: KeptAnchor | undefined,
  ): Promise<LogState> {
    const [end] = lastSeq > 0 ? await rows.page(lastSeq - 1, 1) : []
    const head = {
      seq: lastSeq,
      hash: end?.hash ?? '',
      baseSeq: Math.max(0, (firstSeq ?? 1) - 1),
      baseHash: '',
      acceptedAt: 0,
      mac: 'none',
    }
    await rows.putHead(head)
    reportProblem('head missing', head, newest)
    return { head, last: head, intact: false }
  }

  function reportProblem(reason: Problem, { seq, hash }: AuditHead, newest: Anchor | undefined): void {
    if (reported.has(reason)) return
    reported.add(reason)
    logger.error(
      { reason, head: `${seq}:${hash}`, ...(newest ? { known: `${newest.seq}:${newest.hash}` } : {}) },
      `the audit log was tampered with: run ${commandLine('audit verify')}`,
    )
    alarm('audit.broken', { actor: 'keyturn', reason })
  }

  return { inspect }
}

/** The first of these rows that the store has with this hash. */
export async function findStored(
  rows: Pick<AuditStore, 'page'>,
  ends: readonly Anchor[],
): Promise<Anchor | null> {
  for (const end of ends) {
    const [row] = await rows.page(end.seq - 1, 1)
    if (row?.seq === end.seq && row.hash === end.hash) return end
  }
  return null
}
