/**
 * Copies a whole store into an empty one, between any two engines, and then compares both. Until the comparison has succeeded, the
 * target is marked, and no program opens an incomplete store.
 */
import { commandLine } from '../command-line.ts'
import { KeyturnError } from '../errors.ts'
import type { Clock } from '../system.ts'
import { createChecksum, type Row } from './checksum.ts'
import { type Db, type Param, type Reader, type Step, StoreMissing } from './db.ts'
import {
  isEmpty as isEmptyDatabase,
  type MigrationStatus,
  migrate,
  migrationStatus,
  TRANSFER_MARK,
} from './migrate.ts'
import { TABLES, type Table } from './tables.ts'

/** The transfer was refused or has failed; the message says why. */
class TransferRefused extends KeyturnError<'transfer_refused'> {
  constructor(message: string) {
    super('transfer_refused', message)
  }
}

export interface Progress {
  readonly phase: 'copying' | 'comparing'
  readonly table: string
  readonly done: number
  readonly total: number
}

export interface TransferredTable {
  readonly table: string
  readonly rows: number
  readonly checksum: string
}

export interface TransferDeps {
  readonly source: Reader
  readonly target: Db
  readonly clock: Clock
  readonly progress?: (progress: Progress) => void
}

/** Rows in a batch, and in a statement of the batch. */
const PAGE = 5000
const MAX_ROWS = 100
/** SQLite allows 32,766 parameters in a statement, PostgreSQL 65,535. */
const MAX_PARAMETERS = 30_000

/** @throws {TransferRefused | StoreUnusable} */
export async function transfer(deps: TransferDeps): Promise<TransferredTable[]> {
  const { source, target } = deps
  await prepareTarget(deps)
  const total = await countAll(source)
  const copied: TransferredTable[] = []
  let done = 0
  for (const table of TABLES) {
    const sum = createChecksum()
    for await (const page of pages(source, table)) {
      for (const row of page) sum.add(row)
      await target.batch(insert(table, page))
      done += page.length
      deps.progress?.({ phase: 'copying', table: table.name, done, total })
    }
    copied.push({ table: table.name, ...sum.value() })
  }
  await compare(deps, copied, total)
  await target.batch([
    { sql: 'DELETE FROM schema_migrations WHERE name = $1', params: [TRANSFER_MARK], expectRows: 1 },
  ])
  return copied
}

/**
 * Call this before the target is created.
 * @param name of the source, for messages
 * @throws {StoreMissing | TransferRefused | StoreUnusable}
 */
export async function assertTransferable(source: Reader, name: string): Promise<void> {
  const steps = await migrationStatus(source)
  const pending = steps.filter(({ applied_at }) => applied_at === null).length
  if (isEmptyDatabase(steps)) {
    throw new StoreMissing(name, 'it is empty; if it should not be, restore a backup')
  }
  if (pending > 0)
    throw new TransferRefused(`the database needs ${pending} migration(s): run ${commandLine('migrate')}`)
  assertNoneNewer(steps)
}

/** Tables and columns that this program does not know would not be copied. */
function assertNoneNewer(steps: readonly MigrationStatus[]): void {
  const newer = steps.find((step) => step.newer)
  if (newer) throw new TransferRefused(`the database is newer than this program (it has ${newer.name})`)
}

/** Creates the schema and the mark in an empty target. Rows that an unfinished transfer has left are deleted. */
async function prepareTarget({ target, clock }: TransferDeps): Promise<void> {
  const marked = await target
    .query('SELECT 1 FROM schema_migrations WHERE name = $1', [TRANSFER_MARK])
    .catch(() => [])
  if (marked.length > 0) {
    const mark: Step = {
      sql: 'DELETE FROM schema_migrations WHERE name = $1',
      params: [TRANSFER_MARK],
      expectRows: 1,
    }
    await target.batch([...[...TABLES].reverse().map(empty), mark], { noTimeout: true })
  }
  await migrate(target, clock)
  assertNoneNewer(await migrationStatus(target))
  for (const { name, seeded } of TABLES) {
    if (seeded || (await target.query(`SELECT 1 FROM ${name} LIMIT 1`)).length === 0) continue
    throw new TransferRefused(`the target is not empty: it has ${name}`)
  }
  await target.batch([
    {
      sql: 'INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)',
      params: [TRANSFER_MARK, '', clock.now()],
    },
    ...TABLES.filter(({ seeded }) => seeded).map(empty),
  ])
}

const empty = ({ name }: Table): Step => ({ sql: `DELETE FROM ${name}` })

async function countAll(source: Reader): Promise<number> {
  const sum = TABLES.map(({ name }) => `(SELECT count(*) FROM ${name})`).join(' + ')
  const [row] = await source.query<{ total: number }>(`SELECT ${sum} AS total`)
  return row?.total ?? 0
}

async function* pages(
  store: Pick<Reader, 'query'>,
  { name, key, rowsPerPage = PAGE }: Table,
): AsyncGenerator<Row[]> {
  const order = key.join(', ')
  const after = `(${order}) > (${key.map((_, i) => `$${i + 2}`).join(', ')})`
  let last: Param[] | undefined
  for (;;) {
    const where = last ? `WHERE ${after}` : ''
    const rows = await store.query<Row>(`SELECT * FROM ${name} ${where} ORDER BY ${order} LIMIT $1`, [
      rowsPerPage,
      ...(last ?? []),
    ])
    if (rows.length > 0) yield rows
    if (rows.length < rowsPerPage) return
    last = key.map((column) => rows.at(-1)?.[column] ?? null)
  }
}

/** Many rows in each statement, and the remaining rows one by one, so that only two statements are prepared for a table. */
function insert({ name, computed }: Table, rows: readonly Row[]): Step[] {
  const columns = Object.keys(rows[0] ?? {}).filter((column) => column !== computed)
  const size = Math.max(1, Math.min(MAX_ROWS, Math.floor(MAX_PARAMETERS / columns.length)))
  const steps: Step[] = []
  for (let i = 0; i < rows.length; ) {
    const count = rows.length - i >= size ? size : 1
    const chunk = rows.slice(i, i + count)
    const values = chunk.map(
      (_, row) => `(${columns.map((_, column) => `$${row * columns.length + column + 1}`).join(', ')})`,
    )
    steps.push({
      sql: `INSERT INTO ${name} (${columns.join(', ')}) VALUES ${values.join(', ')}`,
      params: chunk.flatMap((row) => columns.map((column) => row[column] ?? null)),
      expectRows: count,
    })
    i += count
  }
  return steps
}

/** Reads the target and compares it with the rows that were copied. */
async function compare(
  deps: TransferDeps,
  copied: readonly TransferredTable[],
  total: number,
): Promise<void> {
  let done = 0
  for (const [i, table] of TABLES.entries()) {
    const sum = createChecksum()
    for await (const page of pages(deps.target, table)) {
      for (const row of page) sum.add(row)
      done += page.length
      deps.progress?.({ phase: 'comparing', table: table.name, done, total })
    }
    const { rows, checksum } = sum.value()
    const expected = copied[i]
    if (rows === expected?.rows && checksum === expected.checksum) continue
    throw new TransferRefused(
      `${table.name} does not equal its source (${rows} of ${expected?.rows} rows): the target cannot be used`,
    )
  }
}
