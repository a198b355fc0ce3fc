/**
 * Checks that the stored audit trail equals the log: every event once, in a chain that verifies. It runs at the end of
 * every test server, and so in every flow test.
 */
import { existsSync } from 'node:fs'
import { FREQUENT } from '../../../src/audit/aggregation.ts'
import type { AuditEvent } from '../../../src/audit/events.ts'
import { verifyLog } from '../../../src/audit/verify.ts'
import { auditKeys } from '../../../src/keys/audit-keys.ts'
import type { Base } from '../../../src/node/base.ts'
import type { AuditRow } from '../../../src/store/contracts/audit.ts'
import type { Store } from '../../../src/store/index.ts'
import { ENGINE } from './engine.ts'
import type { TestLogger } from './log.ts'

type Line = Record<string, unknown>

/** Servers of this process that share a store. */
interface Sharing {
  /** Where the log ended before the first of them. */
  readonly from: number
  readonly loggers: TestLogger[]
  open: number
}

const shared = new Map<string, Promise<Sharing>>()

interface Kept {
  /** @throws {Error} that names what is missing, duplicated or changed */
  check(): Promise<void>
}

/** Must be called before anything is audited. */
export async function watchAudit(
  base: Base,
  logger: TestLogger | undefined,
  database?: string,
): Promise<Kept> {
  const begin = async (): Promise<Sharing> => ({
    from: (await base.store.auditRows.state()).lastSeq,
    loggers: [],
    open: 0,
  })
  const beginning = (database === undefined ? undefined : shared.get(database)) ?? begin()
  if (database !== undefined) shared.set(database, beginning)
  const sharing = await beginning
  if (logger) sharing.loggers.push(logger)
  sharing.open += 1

  return {
    async check() {
      // A folder is deleted before the servers started on it stop, and a test may have closed the store itself.
      const gone = database !== undefined && ENGINE === 'SQLite' && !existsSync(database)
      const written = !gone && !(await isClosed(base.store))
      if (written) await base.auditLog.flush('all')
      // Not earlier: several servers may be closing at once, and the last one checks what all have written.
      sharing.open -= 1
      if (!written) return
      const { findings } = await verifyLog({
        rows: base.store.auditRows,
        keys: await auditKeys(base.config, base.store)(),
        hasRing: true,
      })
      if (findings.length > 0) throw new Error(`the audit log does not verify: ${findings.join('; ')}`)
      // A real log cannot be read back, and servers that are still open have lines that are not written yet.
      if (!logger || sharing.open > 0 || base.config.auditRetention === null) return
      const lines = sharing.loggers.flatMap((one) => one.audited as unknown as Line[])
      const { rows, pruned } = await rowsFrom(base.store, sharing.from)
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

/** Fields of a log line alone: the event’s name and its trace ids, if any. */
const UNKEPT: readonly string[] = ['audit', 'trace_id', 'span_id']

const canonical = (event: unknown, fields: Line): string => {
  const given = Object.entries(fields).filter(
    ([name, value]) => !UNKEPT.includes(name) && value !== undefined,
  )
  return JSON.stringify([event, given.sort(([a], [b]) => (a < b ? -1 : 1))])
}

function fieldsOf({ actor, sub, clientId, fields }: AuditRow): Line {
  const columns = Object.entries({ actor, sub, client_id: clientId }).filter(([, value]) => value !== null)
  return { ...Object.fromEntries(columns), ...JSON.parse(fields) }
}

/** @param pruned rows may be missing, and nothing else */
export function compare(lines: readonly Line[], rows: readonly AuditRow[], pruned = false): string[] {
  const complaints: string[] = []
  const left = new Map<string, Line[]>()
  for (const line of lines) {
    const key = canonical(line.audit, line)
    left.set(key, [...(left.get(key) ?? []), line])
  }
  const foldedRows: AuditRow[] = []
  for (const row of rows) {
    const same = left.get(canonical(row.event, fieldsOf(row)))
    if (row.count === 1 && same?.pop()) continue
    if (FREQUENT.has(row.event as AuditEvent)) foldedRows.push(row)
    else complaints.push(`row ${row.seq} was never logged: ${row.event} ${row.fields}`)
  }
  const rest = [...left.values()].flat()
  // Rows of one kind come before rows that count several kinds.
  foldedRows.sort((a, b) => Object.keys(fieldsOf(b)).length - Object.keys(fieldsOf(a)).length)
  for (const row of foldedRows) {
    const wanted = Object.entries(fieldsOf(row))
    for (let i = 0; i < row.count; i += 1) {
      const index = rest.findIndex(
        (line) => line.audit === row.event && wanted.every(([name, value]) => line[name] === value),
      )
      if (index === -1) {
        complaints.push(`row ${row.seq} counts ${row.count} ${row.event}, of which ${i} were logged`)
        break
      }
      rest.splice(index, 1)
    }
  }
  if (!pruned)
    for (const line of rest) complaints.push(`logged and not in the store: ${JSON.stringify(line)}`)
  return complaints
}
