/**
 * The values of an audit row that can be erased when a user is deleted: the address, and the target of an event about a user, such as
 * the username. Each value is kept apart from the row, which contains only its digest, so the hash chain still verifies. The salt
 * makes the digest useless for guessing a value that was erased. Must not know when that happens.
 */
import { createHash } from 'node:crypto'
import type { AuditRow, usersOf } from '../store/contracts/audit.ts'
import type { Random } from '../system.ts'
import type { AuditFields } from './events.ts'

type PersonalField = 'ip' | 'target'

export const PERSONAL_FIELDS: readonly PersonalField[] = ['ip', 'target']
/** The names of the digests in `fields`. */
export const DIGESTS = { ip: 'ip_digest', target: 'target_digest' } as const

const SALT_BYTES = 16

/**
 * Among the fields of a row without a salt. Otherwise two nodes that count the same events in the same second would make the same row,
 * and one of them would take the other's row for its own, which it had stored before it lost its connection.
 */
const NONCE = 'nonce'

export interface Separated {
  readonly fields: Readonly<Record<string, string | undefined>>
  /** `<salt>.<value>` */
  readonly ip: string | null
  readonly target: string | null
}

/** @param users whom the values are about. A target that is not about a user, such as a client, stays among the fields. */
export function separate(
  fields: AuditFields,
  users: ReturnType<typeof usersOf>,
  random: Pick<Random, 'bytes'>,
): Separated {
  const rest: Record<string, string | undefined> = { ...fields }
  const values: Record<PersonalField, string | null> = { ip: null, target: null }
  for (const name of PERSONAL_FIELDS) {
    const value = storable(fields[name])
    if (value === null || (name === 'target' && users.target === null)) continue
    const salted = `${random.bytes(SALT_BYTES).toString('base64url')}.${value}`
    values[name] = salted
    rest[DIGESTS[name]] = digestOf(salted)
    delete rest[name]
  }
  if (values.ip === null && values.target === null)
    rest[NONCE] = random.bytes(SALT_BYTES).toString('base64url')
  return { fields: rest, ...values }
}

/** The value without its salt. */
export const unsalted = (salted: string): string => salted.slice(salted.indexOf('.') + 1)

export const digestOf = (salted: string): string => createHash('sha256').update(salted).digest('base64url')

/** The fields of the event, with the values that have not been erased. Someone may have changed the row; then they are unreadable. */
export function fieldsOf(row: Pick<AuditRow, 'fields' | PersonalField>): Record<string, unknown> {
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(row.fields) as Record<string, unknown>
  } catch {
    return { unreadable: row.fields }
  }
  for (const name of PERSONAL_FIELDS) {
    const salted = row[name]
    if (salted !== null) fields[name] = unsalted(salted)
    delete fields[DIGESTS[name]]
  }
  delete fields[NONCE]
  return fields
}

/** Replaces what PostgreSQL cannot store. A row that cannot be stored would block all later rows. */
export const storable = (value: string | undefined): string | null =>
  value === undefined ? null : value.toWellFormed().replaceAll('\0', '\uFFFD')
