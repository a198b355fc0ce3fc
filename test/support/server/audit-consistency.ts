/**
 * Checks that the stored audit trail equals the log: every event once, in a chain that verifies. It runs at the end of
 * every test server, and so in every flow test.
 */
import { existsSync } from 'node:fs'
import { ACTOR_EVENTS, AGGREGATED_EVENTS } from '../../../src/audit/aggregation.ts'
import type { AuditEvent } from '../../../src/audit/events.ts'
import { DIGESTS, fieldsOf, PERSONAL_FIELDS } from '../../../src/audit/personal.ts'
import { verifyLog } from '../../../src/audit/verify.ts'
import { auditKeys } from '../../../src/keys/audit-keys.ts'
import type { Base } from '../../../src/node/base.ts'
import type { AuditRow } from '../../../src/store/contracts/audit.ts'
import type { Store } from '../../../src/store/index.ts'
import { ENGINE } from './engine.ts'
import type { TestLogger } from './log.ts'

type Line = Record<string, unknown>

/** Servers of this process that share a store. */
interface SharedStore {
  /** Where the log ended before the first of them. */
  readonly from: number
  readonly loggers: TestLogger[]
  open: number
}

const shared = new Map<string, Promise<SharedStore>>()

interface AuditCheck {
  /** @throws {Error} that names what is missing, duplicated or changed */
  check(): Promise<void>
}

/** Must be called before anything is audited. */
export async function watchAudit(
  base: Base,
  logger: TestLogger | undefined,
  database?: string,
): Promise<AuditCheck> {
  const register = async (): Promise<SharedStore> => ({
    from: (await base.store.auditRows.state()).lastSeq,
    loggers: [],
    open: 0,
  })
  const registration = (database === undefined ? undefined : shared.get(database)) ?? register()
  if (database !== undefined) shared.set(database, registration)
  const sharedStore = await registration
  if (logger) sharedStore.loggers.push(logger)
  sharedStore.open += 1

  return {
    async check() {
      // A folder is deleted before the servers started on it stop, and a test may have closed the store itself.
      const isDeleted = database !== undefined && ENGINE === 'SQLite' && !existsSync(database)
      const canWrite = !isDeleted && !(await isClosed(base.store))
      if (canWrite) await base.auditLog.flush('all')
      // Decremented only now: several servers may be closing at once, and the last one checks what all have written.
      sharedStore.open -= 1
      if (!canWrite) return
      const { findings } = await verifyLog({
        rows: base.store.auditRows,
        keys: await auditKeys(base.config, base.store)(),
        hasRing: true,
      })
      if (findings.length > 0) throw new Error(`the audit log does not verify: ${findings.join('; ')}`)
      // A real log cannot be read back, and servers that are still open have lines that are not written yet.
      if (!logger || sharedStore.open > 0 || base.config.auditRetention === null) return
      const lines = sharedStore.loggers.flatMap((one) => one.audited as unknown as Line[])
      const { rows, pruned } = await rowsFrom(base.store, sharedStore.from)
      const complaints = compare(lines, rows, pruned)
      if (complaints.length > 0)
        throw new Error(`the audit log is not what was logged: ${complaints.slice(0, 10).join('; ')}`)
    },
  }
}

const isClosed = ({ db }: Store): Promise<boolean> =>
  db.query('SELECT 1').then(
    () => false,
    ({ cause }: Error) => cause instanceof Error && cause.message === 'the store is closed',
  )

async function rowsFrom({ auditRows }: Pick<Store, 'auditRows'>, from: number) {
  const { head } = await auditRows.state()
  const rows: AuditRow[] = []
  for (;;) {
    const page = await auditRows.page(rows.at(-1)?.seq ?? from, 1000)
    rows.push(...page)
    if (page.length < 1000) return { rows, pruned: (head?.baseSeq ?? 0) > from }
  }
}

/** Fields that only a log line has: the event’s name and its trace ids, if any. */
const LOG_ONLY_FIELDS: readonly string[] = ['audit', 'trace_id', 'span_id']

const canonical = (event: unknown, fields: Line): string => {
  const given = Object.entries(fields).filter(
    ([name, value]) => !LOG_ONLY_FIELDS.includes(name) && value !== undefined,
  )
  return JSON.stringify([event, given.sort(([a], [b]) => (a < b ? -1 : 1))])
}

function lineOf(row: AuditRow): Line {
  const { actor, sub, clientId } = row
  const columns = Object.entries({ actor, sub, client_id: clientId }).filter(([, value]) => value !== null)
  return { ...Object.fromEntries(columns), ...fieldsOf(row) }
}

/** Removes a line that equals the row except for the values that were erased with their user. */
function popErased(unmatched: ReadonlyMap<string, Line[]>, row: AuditRow): Line | undefined {
  const digests = JSON.parse(row.fields) as Line
  const erased = PERSONAL_FIELDS.filter((name) => row[name] === null && digests[DIGESTS[name]] !== undefined)
  if (erased.length === 0) return undefined
  const key = canonical(row.event, lineOf(row))
  for (const lines of unmatched.values()) {
    const [line] = lines
    if (line?.audit !== row.event) continue
    const rest = Object.entries(line).filter(([name]) => !(erased as string[]).includes(name))
    if (canonical(row.event, Object.fromEntries(rest)) === key) return lines.pop()
  }
  return undefined
}

/** @param pruned whether rows may be missing because they were pruned */
export function compare(lines: readonly Line[], rows: readonly AuditRow[], pruned = false): string[] {
  const complaints: string[] = []
  const unmatched = new Map<string, Line[]>()
  for (const line of lines) {
    const key = canonical(line.audit, line)
    const same = unmatched.get(key)
    if (same) same.push(line)
    else unmatched.set(key, [line])
  }
  const aggregatedRows: AuditRow[] = []
  for (const row of rows) {
    const matches = unmatched.get(canonical(row.event, lineOf(row)))
    if (row.count === 1 && (matches?.pop() || popErased(unmatched, row))) continue
    const event = row.event as AuditEvent
    if (AGGREGATED_EVENTS.has(event) || ACTOR_EVENTS.has(event)) aggregatedRows.push(row)
    else complaints.push(`row ${row.seq} was never logged: ${row.event} ${row.fields}`)
  }
  let rest = [...unmatched.values()].flat()
  // Rows of one kind come before rows that count several kinds.
  aggregatedRows.sort((a, b) => Object.keys(lineOf(b)).length - Object.keys(lineOf(a)).length)
  for (const row of aggregatedRows) {
    const expected = Object.entries(lineOf(row))
    let logged = 0
    rest = rest.filter((line) => {
      if (logged === row.count || line.audit !== row.event) return true
      if (expected.some(([name, value]) => line[name] !== value)) return true
      logged += 1
      return false
    })
    if (logged < row.count)
      complaints.push(`row ${row.seq} counts ${row.count} ${row.event}, of which ${logged} were logged`)
  }
  if (!pruned)
    for (const line of rest) complaints.push(`logged and not in the store: ${JSON.stringify(line)}`)
  return complaints
}
