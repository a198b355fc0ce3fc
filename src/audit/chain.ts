/**
 * The hash chain of the audit log: each row has a hash over itself and the row before. The head, which stores where the log
 * begins and ends, has a MAC. An attacker who can write to the database but does not have the master key can recompute the
 * hashes, but not the MAC. Pure. Must not know where rows are stored.
 */
import { createHash } from 'node:crypto'
import { type AuditHead, type AuditRow, usersOf } from '../store/contracts/audit.ts'
import type { EpochSeconds, Random } from '../system.ts'
import type { AuditEvent, AuditFields } from './events.ts'
import { separate, storable } from './personal.ts'

/** The content of a row before it has a place in the chain. */
export interface AuditEntry {
  readonly event: AuditEvent
  readonly fields: AuditFields
  /** When the first and the last event happened; equal if `count` is 1. */
  readonly since: EpochSeconds
  readonly at: EpochSeconds
  readonly count: number
}

/**
 * Which data key made a MAC. The head always has a MAC of the newest data key: a rotation of the master key, which adds a data
 * key, signs the head again in the same commit. So a MAC of an older data key means that an older head was put back, or that
 * someone with an older master key wrote it. `unknown`: there is no MAC, or no data key made it.
 */
export type Signature =
  | { readonly by: 'newest' }
  | { readonly by: 'older'; readonly dataKey: number; readonly invalidated: boolean }
  | { readonly by: 'unknown' }

/** Computes and verifies the MAC of the head. A MAC names the data key that it was made with. */
export interface AuditKeys {
  /** Creates a MAC with the newest data key. */
  create(text: string): string
  check(text: string, mac: string): Signature
}

export function createRow(
  previous: Pick<AuditRow, 'seq' | 'hash'>,
  entry: AuditEntry,
  random: Pick<Random, 'bytes'>,
): AuditRow {
  const { actor, sub, client_id: clientId, ...rest } = entry.fields
  const subjects = { actor: storable(actor), sub: storable(sub), clientId: storable(clientId) }
  const { fields, ip, target } = separate(rest, usersOf(subjects), random)
  const row = {
    seq: previous.seq + 1,
    since: entry.since,
    at: entry.at,
    event: entry.event,
    ...subjects,
    fields: canonical(fields),
    count: entry.count,
  }
  return { ...row, ip, target, hash: hashRow(previous.hash, row) }
}

/**
 * The hash over all members of the row and, through the hash of the row before, all earlier rows. It covers `ip` and `target` by
 * their digests, which are in `fields`.
 */
export function hashRow(previous: string, row: Omit<AuditRow, 'hash' | 'ip' | 'target'>): string {
  const { seq, since, at, event, actor, sub, clientId, fields, count } = row
  return createHash('sha256')
    .update(JSON.stringify([previous, seq, since, at, event, actor, sub, clientId, fields, count]))
    .digest('base64url')
}

export function signHead(keys: AuditKeys, head: Omit<AuditHead, 'mac'>): AuditHead {
  return { ...head, mac: keys.create(signedText(head)) }
}

export function signatureOf(keys: AuditKeys | null, head: AuditHead): Signature {
  return keys === null || head.mac === null ? { by: 'unknown' } : keys.check(signedText(head), head.mac)
}

const signedText = ({ seq, hash, baseSeq, baseHash, acceptedAt }: Omit<AuditHead, 'mac'>): string =>
  JSON.stringify([seq, hash, baseSeq, baseHash, acceptedAt])

function canonical(fields: Readonly<Record<string, string | undefined>>): string {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined)
  return JSON.stringify(Object.fromEntries(defined.sort(([a], [b]) => (a < b ? -1 : 1))))
}
