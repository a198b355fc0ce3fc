import type { EpochSeconds } from '../../system.ts'

/** As it is stored; what it means is the business of src/audit. */
export interface AuditRow {
  /** One more than that of the row before. */
  readonly seq: number
  /** When the first and the last of what it stands for happened. */
  readonly since: EpochSeconds
  readonly at: EpochSeconds
  readonly event: string
  readonly actor: string | null
  readonly sub: string | null
  readonly clientId: string | null
  /** All else, as JSON. */
  readonly fields: string
  /** How many events it stands for. */
  readonly count: number
  readonly hash: string
}

export interface AuditHead {
  /** The last row. */
  readonly seq: number
  readonly hash: string
  /** The last row that was pruned: the first that is there follows it. */
  readonly baseSeq: number
  readonly baseHash: string
  readonly mac: string | null
}

export interface AuditState {
  /** null only if somebody has deleted it. */
  readonly head: AuditHead | null
  /** Of the rows that are there. */
  readonly firstSeq: number | null
  /** 0 if there are none. */
  readonly lastSeq: number
}

export interface AuditFilter {
  /** Not before, and before. */
  readonly since?: EpochSeconds
  readonly until?: EpochSeconds
  /** Whom it is about, or who did it: the user's id. */
  readonly userId?: string
  readonly clientId?: string
  readonly event?: string
}

export interface AuditStore {
  /** Head and rows, of one moment. */
  state(): Promise<AuditState>
  /**
   * Adds rows and moves the head, if the head is still the one that was seen. False if it is not, or if a row is there
   * already, and then nothing has changed.
   */
  append(seen: AuditHead, rows: readonly AuditRow[], head: AuditHead): Promise<boolean>
  /** Puts a head where somebody has deleted it; false if there is one. */
  putHead(head: AuditHead): Promise<boolean>
  /** Deletes the rows up to the new `baseSeq`, if the head is still the one that was seen. */
  prune(seen: AuditHead, head: AuditHead): Promise<boolean>
  /** In order, those behind `seq`. */
  page(seq: number, limit: number): Promise<AuditRow[]>
  /** The newest that fit, the newest first. */
  find(filter: AuditFilter, limit: number): Promise<AuditRow[]>
}
