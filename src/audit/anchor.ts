/**
 * The end of the audit log, as it is known outside the database. The log in a copy of the whole database from yesterday verifies,
 * so nothing inside the database can show that the copy is old. Must not know where anchors are kept.
 */
import type { AuditRow } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'

/** A row that was once the last row of the log. */
export type Anchor = Pick<AuditRow, 'seq' | 'hash'>

export interface KeptAnchor extends Anchor {
  /** When an administrator last accepted the log as it was found; 0 if never. */
  readonly acceptedAt: EpochSeconds
}

export interface AnchorKeeper {
  /** null if no anchor is kept. */
  read(): KeptAnchor | null
  /** Keeps the anchor if it is later than the one that is kept. */
  advance(anchor: KeptAnchor): Promise<void>
}

/** An anchor that is kept in a file. */
export interface AnchorRecord extends AnchorKeeper {
  /** null if nothing is kept. */
  readonly file: string | null
  /** @throws {StoreUnusable} if the file cannot be read or is damaged */
  recorded(): { readonly audit: KeptAnchor } | null
}

export const noAnchorKeeper: AnchorKeeper = { read: () => null, advance: async () => {} }

/** After an acceptance the log may be shorter, so the times of acceptance are compared first. */
export const isLater = (one: KeptAnchor, other: KeptAnchor): boolean =>
  one.acceptedAt > other.acceptedAt || (one.acceptedAt === other.acceptedAt && one.seq > other.seq)
