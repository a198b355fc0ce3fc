import t from 'tap'
import { holdAudit, MAX_HELD } from '../../src/cli/held-audit.ts'
import type { Logger } from '../../src/system.ts'

function world() {
  const lines: unknown[] = []
  const write = (fields: object | string) => void lines.push(fields)
  const logger: Logger = { debug: write, info: write, warn: write, error: write }
  return { lines, ...holdAudit(logger) }
}

t.test('audit lines are logged when the command is done, and all other lines at once', async (t) => {
  const { lines, logger, release } = world()
  logger.info({ audit: 'first' })
  logger.info('a message')
  logger.info({ audit: 'second' })
  logger.warn('a warning')
  t.same(lines, ['a message', 'a warning'])
  release()
  t.same(lines.slice(2), [{ audit: 'first' }, { audit: 'second' }])
  release()
  t.equal(lines.length, 4, 'each line once')
})

t.test('a bounded number of lines is held, and their order stays', async (t) => {
  const { lines, logger, release } = world()
  const count = 2 * MAX_HELD + 1
  for (let i = 0; i < count; i += 1) logger.info({ audit: 'many', i })
  t.equal(lines.length, 2 * MAX_HELD, 'the command still runs')
  release()
  t.same(
    lines.map((line) => (line as { i: number }).i),
    Array.from({ length: count }, (_, i) => i),
  )
})
