import { existsSync } from 'node:fs'
import t from 'tap'
import { readMigrations } from '../../src/store/migrate.ts'
import { testCli } from '../support/processes/cli.ts'

const names = readMigrations().map(({ name }) => name)

t.test('--status lists pending migrations without creating a database', async (t) => {
  const cli = testCli(t)
  const pending = names.map((name) => ({ name, applied_at: null }))
  t.same(await cli.json(['migrate', '--status']), pending)
  t.match((await cli.run(['migrate', '--status'])).out, /^0001_init +pending$/m)
  t.notOk(existsSync(cli.database))
})

t.test('migrate updates a database once, and --status then shows when', async (t) => {
  const cli = testCli(t)
  t.same(await cli.json(['migrate']), { applied: names })
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
        const cli = testCli(t)
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
