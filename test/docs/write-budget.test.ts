import t from 'tap'
import { WRITE_BUDGET, type WriteBudget } from '../../src/node/write-budget.ts'
import { read, tableBelow } from '../support/docs/documents.ts'
import { bucket, duration, grouped } from '../support/docs/durations.ts'

const limitOf = ({ limit, countedPer }: WriteBudget): string =>
  typeof limit === 'number' ? `${grouped(limit)} rows per ${countedPer}` : bucket(limit)

function keptOf({ kept, keptIfUsed }: WriteBudget): string {
  const time = typeof kept === 'number' ? duration(kept) : kept
  return keptIfUsed === undefined ? time : `${time}; if used, ${keptIfUsed}`
}

const rowOf = (budget: WriteBudget): string[] => [
  budget.cause,
  budget.by,
  budget.tables.map((table) => `\`${table}\``).join(', '),
  budget.countedPer,
  limitOf(budget),
  keptOf(budget),
]

t.test('docs/security.md has the write budget of the code', async (t) => {
  t.same(tableBelow(read('docs/security.md'), '## Write budget'), Object.values(WRITE_BUDGET).map(rowOf))
})
