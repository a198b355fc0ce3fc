/**
 * Verifies the values of the audit log that can be erased: each fits its digest, and is missing only because a user was deleted, as an
 * event of the log says. Otherwise an attacker could erase addresses without a trace. Must not change anything.
 */
import { type AuditRow, type AuditStore, usersOf } from '../store/contracts/audit.ts'
import { DIGESTS, digestOf, PERSONAL_FIELDS } from './personal.ts'

/** The `action` of `user.changed` that allows values to be missing. It is recorded before they are erased. */
export const USER_DELETED = 'deleted'

interface ErasureCheck {
  /** Call for each row, in order. */
  read(row: AuditRow): void
  /** @param end the last row that was read */
  finish(rows: Pick<AuditStore, 'find'>, end: number): Promise<void>
}

/** Events after the end that are searched for deletions. They are rare: only administrators cause them, and used one-time links. */
const MAX_EVENTS = 1000

export function createErasureCheck(report: (finding: string) => void): ErasureCheck {
  const deleted = new Set<string>()
  /** The first row of each user with a missing value. */
  const erased = new Map<string, number>()
  /** Rows without a user whose address is missing, and that no deletion so far accounts for. */
  let unexplained = 0
  let firstUnexplained = 0

  function readDeletion({ sub }: AuditRow, fields: Readonly<Record<string, unknown>>): void {
    if (sub !== null) deleted.add(sub)
    unexplained -= Math.min(unexplained, Number(fields.erased) || 0)
  }

  function readMissing(user: string | null, seq: number): void {
    if (user !== null) {
      if (!erased.has(user)) erased.set(user, seq)
    } else {
      if (unexplained === 0) firstUnexplained = seq
      unexplained += 1
    }
  }

  return {
    read(row) {
      const fields = parse(row.fields)
      if (isDeletion(row, fields)) readDeletion(row, fields)
      const users = usersOf(row)
      for (const name of PERSONAL_FIELDS) {
        const [salted, digest] = [row[name], fields[DIGESTS[name]]]
        if (salted !== null && digest !== digestOf(salted))
          report(`the ${name} of row ${row.seq} was changed`)
        if (salted === null && digest !== undefined) readMissing(users[name], row.seq)
      }
    },

    async finish(rows, end) {
      if (erased.size === 0 && unexplained === 0) return
      // A user may be deleted while the log is read: then the event is after its end.
      for (const row of await rows.find({ event: 'user.changed' }, MAX_EVENTS)) {
        const fields = parse(row.fields)
        if (row.seq > end && isDeletion(row, fields)) readDeletion(row, fields)
      }
      for (const [user, seq] of erased) {
        if (!deleted.has(user))
          report(`values of row ${seq} were erased, and no event says that the user ${user} was deleted`)
      }
      if (unexplained > 0)
        report(
          `addresses were erased, one of them in row ${firstUnexplained}, and no event accounts for ${unexplained} of them`,
        )
    },
  }
}

const isDeletion = ({ event }: AuditRow, fields: Readonly<Record<string, unknown>>): boolean =>
  event === 'user.changed' && fields.action === USER_DELETED

/** A row whose fields were changed is reported because of its hash. */
function parse(fields: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(fields) as Record<string, unknown>
  } catch {
    return {}
  }
}
