/**
 * How far the log has come, as it is known outside the database. A copy of the whole database from yesterday has a log that
 * verifies, so nothing inside the database can tell that it is old. Must not know where anchors are kept.
 */
import type { AuditRow } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'

/** A row that was once the last row of the log. */
export type Anchor = Pick<AuditRow, 'seq' | 'hash'>

export interface KeptAnchor extends Anchor {
  /** When an administrator had last accepted the log as it was found; 0: never. */
  readonly acceptedAt: EpochSeconds
}

export interface AnchorKeeper {
  /** null if no anchor is kept. */
  read(): KeptAnchor | null
  /** Keeps the anchor if it is later than the one that is kept. */
  advance(anchor: KeptAnchor): Promise<void>
}

export const noAnchorKeeper: AnchorKeeper = { read: () => null, advance: async () => {} }

/** After an acceptance the log may be shorter, so the time of the acceptance counts first. */
export const isLater = (one: KeptAnchor, other: KeptAnchor): boolean =>
  one.acceptedAt > other.acceptedAt || (one.acceptedAt === other.acceptedAt && one.seq > other.seq)
