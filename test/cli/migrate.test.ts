import { existsSync } from 'node:fs'
import t from 'tap'
import { readMigrations } from '../../src/store/migrate.ts'
import { startedCli, testCli } from '../support/processes/cli.ts'

const names = readMigrations().map(({ name }) => name)

t.test('neither migrate nor migrate --status creates a database (docs/security.md R5)', async (t) => {
  const cli = testCli(t)
  for (const args of [['migrate'], ['migrate', '--status']]) {
    const { code, err } = await cli.run(args)
    t.equal(code, 1)
    t.equal(err, `keyturn: no database at ${cli.database}: npx keyturn serve creates one\n`)
    t.notOk(existsSync(cli.database))
  }
})

t.test('migrate updates a database once, and --status shows when each step was applied', async (t) => {
  const cli = await startedCli(t)
  t.same(await cli.json(['migrate']), { applied: [] })
  t.equal((await cli.run(['migrate'])).out, 'up to date\n')
  const applied = names.map((name) => ({ name, applied_at: cli.clock.now() }))
  t.same(await cli.json(['migrate', '--status']), applied)
})

t.test(
  'every command refuses a database of a newer version or with a changed migration (docs/security.md Q11)',
  async (t) => {
    for (const [title, sql, reason] of [
      ['newer', `INSERT INTO schema_migrations VALUES ('9999_future', 'x', 1)`, /newer than this program/],
      ['changed', `UPDATE schema_migrations SET checksum = 'x'`, /was changed after it had been applied/],
    ] as const) {
      await t.test(title, async (t) => {
        const cli = await startedCli(t)
        await cli.json(['migrate'])
        await cli.withStore((store) => store.db.batch([{ sql }]))
        for (const args of [
          ['migrate'],
          ['migrate', '--status'],
          ['clients', 'list'],
          ['keys', 'list'],
          ['serve'],
        ]) {
          const { code, err } = await cli.run(args)
          t.equal(code, 1, args.join(' '))
          t.match(err, reason, args.join(' '))
        }
      })
    }
  },
)
