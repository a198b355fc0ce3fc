/**
 * How rows of the audit log hang together: each has the hash of the one before, and the head, which says where the log
 * begins and ends, a MAC. Who can write the database but has not the master key can recompute the one and not the other.
 * Pure; must not know where rows are kept.
 */
import { createHash } from 'node:crypto'
import type { AuditHead, AuditRow } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'
import type { AuditEvent, AuditFields } from './events.ts'

/** What a row will say. */
export interface Happened {
  readonly event: AuditEvent
  readonly fields: AuditFields
  /** The first and the last time; the same unless it stands for several. */
  readonly since: EpochSeconds
  readonly at: EpochSeconds
  readonly count: number
}

/** Signs the head with the newest data key. A MAC names its data key and is verified with it. */
export interface AuditKeys {
  create(text: string): string
  verify(text: string, mac: string): boolean
}

export function link(before: Pick<AuditRow, 'seq' | 'hash'>, happened: Happened): AuditRow {
  const { actor, sub, client_id: clientId, ...rest } = happened.fields
  const row = {
    seq: before.seq + 1,
    since: happened.since,
    at: happened.at,
    event: happened.event,
    actor: storable(actor),
    sub: storable(sub),
    clientId: storable(clientId),
    fields: canonical(rest),
    count: happened.count,
  }
  return { ...row, hash: hashOf(before.hash, row) }
}

/** Of everything that the row says, and of all rows before it. */
export function hashOf(before: string, row: Omit<AuditRow, 'hash'>): string {
  const { seq, since, at, event, actor, sub, clientId, fields, count } = row
  return createHash('sha256')
    .update(JSON.stringify([before, seq, since, at, event, actor, sub, clientId, fields, count]))
    .digest('base64url')
}

export function signHead(keys: AuditKeys, head: Omit<AuditHead, 'mac'>): AuditHead {
  return { ...head, mac: keys.create(signedText(head)) }
}

export function isSigned(keys: AuditKeys, head: AuditHead): boolean {
  return keys.verify(signedText(head), head.mac ?? '')
}

const signedText = ({ seq, hash, baseSeq, baseHash }: Omit<AuditHead, 'mac'>): string =>
  JSON.stringify([seq, hash, baseSeq, baseHash])

function canonical(fields: AuditFields): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return JSON.stringify(Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1))))
}

/** Comes back from any engine as it went there; a row that could not be stored would hold up all behind it. */
const storable = (value: string | undefined): string | null =>
  value === undefined ? null : value.toWellFormed().replaceAll('\0', '\uFFFD')
