import t from 'tap'
import { WRITE_BUDGET, type WriteBudget } from '../../src/node/write-budget.ts'
import { read, tableBelow } from '../support/docs/documents.ts'

const limitOf = ({ limit, countedPer }: WriteBudget): string =>
  typeof limit === 'number'
    ? `${limit} rows per ${countedPer}`
    : `${limit.burst}, then one every ${limit.interval} s`

const rowOf = (budget: WriteBudget): string[] => [
  budget.cause,
  budget.by,
  budget.tables.map((table) => `\`${table}\``).join(', '),
  budget.countedPer,
  limitOf(budget),
  typeof budget.kept === 'number' ? `${budget.kept} s` : budget.kept,
]

t.test('docs/security.md has the write budget of the code', async (t) => {
  t.same(tableBelow(read('docs/security.md'), '## Write budget'), Object.values(WRITE_BUDGET).map(rowOf))
})
