import t from 'tap'
import { RETENTION } from '../../src/store/retention.ts'
import { TABLES } from '../../src/store/tables.ts'
import { read, tableBelow } from '../support/docs/documents.ts'

const UNITS: Readonly<Record<string, number>> = { minute: 60, hour: 3600, day: 86_400 }

/** `7 days` → seconds. */
function seconds(words = ''): number {
  const [count, unit = ''] = words.split(' ')
  return Number(count) * (UNITS[unit.replace(/s$/, '')] ?? 0)
}

t.test('docs/operations.md says how long the rows of each table are kept', async (t) => {
  const rows = tableBelow(read('docs/operations.md'), '## Retention')
  t.same(
    rows.map(([tables, kept]) => [tables?.replaceAll('`', '').split(', '), seconds(kept)]),
    Object.values(RETENTION).map((row) => [row.tables, row.seconds]),
  )
  t.ok(rows.every(([, , why = '']) => why.length > 0))
})

t.test('the table of retention names tables that exist, each once', async (t) => {
  const named = Object.values(RETENTION).flatMap(({ tables }) => [...tables])
  const all = new Set(TABLES.map(({ name }) => name))
  t.same(
    named.filter((name) => !all.has(name)),
    [],
  )
  t.equal(new Set(named).size, named.length)
})
