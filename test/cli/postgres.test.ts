/** The commands on a store that several nodes share. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createStore, openDb } from '../../src/store/index.ts'
import { readMigrations } from '../../src/store/migrate.ts'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testCli } from '../support/processes/cli.ts'
import { freePort } from '../support/server/free-port.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)
const masterKey = () => randomBytes(32).toString('base64url')

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
}

async function node(t: Test, url: string, MASTER_KEY = masterKey()) {
  const cli = testCli(t)
  const settings = { DATABASE_URL: url, MASTER_KEY, PORT: String(await freePort()), STORE_RECORD_FILE: 'off' }
  return {
    cli,
    masterKey: MASTER_KEY,
    start: () => cli.start(settings),
    run: (args: readonly string[], more: Record<string, string> = {}) =>
      cli.run(args, { settings: { ...settings, ...more } }),
    json: <T>(args: readonly string[]) => cli.json<T>(args, { settings }),
  }
}

t.test(
  'without a shared master key every command exits 2, and the database password is not printed',
  async (t) => {
    const cli = testCli(t)
    const settings = { DATABASE_URL: 'postgres://keyturn:s3cret@db.test/keyturn' }
    const { code, err } = await cli.run(['keys', 'list'], { settings })
    t.equal(code, 2)
    t.match(err, /KEYTURN_MASTER_KEY or KEYTURN_MASTER_KEY_FILE is required with PostgreSQL/)
    t.notMatch(err, /s3cret/)
  },
)

t.test('migrate, registration, keys, export and doctor work as on SQLite and leave no files', async (t) => {
  const { cli, json, run, start } = await node(t as Test, await postgres.emptyDatabase())
  for (const args of [['migrate'], ['migrate', '--status'], ['keys', 'list']])
    t.match(await run(args), { code: 1, err: /no database at postgres:\S+: npx keyturn serve creates one/ })
  const before = await run(['doctor', '--json'])
  t.match(
    before.json<Finding[]>().find(({ check }) => check === 'migrations'),
    { ok: false, message: /no database at/ },
  )
  await start()
  t.equal(
    (await json<{ applied_at: number | null }[]>(['migrate', '--status'])).length,
    readMigrations().length,
  )
  t.same(await json(['migrate']), { applied: [] })
  await json(['apis', 'create', 'https://orders.test', '--scope', 'read'])
  await json(['clients', 'create', '--name', 'm', '--grant', 'client_credentials', '--scope', 'read'])
  const { active } = await json<{ active: string }>(['keys', 'rotate'])
  const keys = await json<{ kid: string; state: string }[]>(['keys', 'list'])
  t.equal(keys.find(({ state }) => state === 'active')?.kid, active)
  await json(['export', join(cli.dir, 'out')])
  t.ok(readdirSync(join(cli.dir, 'out')).length > 0)

  const { code, out } = await run(['doctor', '--json'])
  const findings: Finding[] = JSON.parse(out)
  const bad = findings.filter(({ ok }) => !ok)
  t.same(
    bad.map(({ check, message }) => [check, message]),
    [['durability', 'the database server runs with fsync = off: a power failure may damage the data']],
    'the PostgreSQL server of these tests runs without fsync, for speed',
  )
  t.equal(code, 1)
  t.match(
    findings.find(({ check }) => check === 'store'),
    { message: /^PostgreSQL \d+/ },
  )
  t.match(
    findings.find(({ check }) => check === 'signing keys'),
    { ok: true },
  )
  t.same(readdirSync(cli.dir), ['out'], 'no key files and no database')
})

t.test(
  'a node with a different master key does not start and says why in one line (RFC 7517 §4; docs/security.md H91)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const first = await node(t as Test, url)
    await first.start()
    await first.json(['keys', 'rotate'])
    const other = await node(t as Test, url)
    for (const args of [['serve'], ['keys', 'rotate', '--force']]) {
      const { code, err, out } = await other.run(args)
      t.equal(code, 1)
      t.match(
        err,
        /^keyturn: the private key \S+ cannot be decrypted: it is encrypted under the master key \S+, which is not available here\n$/,
      )
      t.equal(out, '')
    }
    t.equal((await (await node(t as Test, url, first.masterKey)).run(['keys', 'list'])).code, 0)
  },
)

t.test(
  'an unreachable or refusing database server is reported in one line without the password',
  async (t) => {
    const unreachable = await node(t as Test, 'postgres://keyturn:s3cret@127.0.0.1:1/keyturn')
    const missing = await node(t as Test, postgres.url('no_such_database'))
    for (const [one, reason] of [
      [unreachable, /^keyturn: the store is not available: connect ECONNREFUSED 127\.0\.0\.1:1\n$/],
      [missing, /^keyturn: the store is not available: database "no_such_database" does not exist\n$/],
    ] as const) {
      for (const args of [['serve'], ['migrate'], ['migrate', '--status'], ['clients', 'list']]) {
        const { code, err } = await one.run(args)
        t.equal(code, 1)
        t.match(err, reason)
      }
      const { out } = await one.run(['doctor', '--json'])
      t.match(
        JSON.parse(out).find(({ check }: Finding) => check === 'store'),
        { ok: false },
      )
      t.notMatch(out, /s3cret/)
    }
  },
)

t.test('the doctor detects a read-only database server', async (t) => {
  const url = await postgres.database(t as Test)
  await run(
    postgres.admin,
    `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET default_transaction_read_only = on`,
  )
  const { run: command } = await node(t as Test, url)
  const findings: Finding[] = JSON.parse((await command(['doctor', '--json'])).out)
  t.match(
    findings.find(({ check }) => check === 'durability'),
    { ok: false, message: /is read-only .*primary/ },
  )
})

t.test('export --watch works with a database user that has minimal rights', async (t) => {
  const url = await postgres.emptyDatabase()
  const { cli, json, run: all, masterKey, start: startOnce } = await node(t as Test, url)
  await startOnce()
  await json(['apis', 'create', 'https://orders.test', '--scope', 'read'])
  await json(['keys', 'list'])
  // Creates a status list to sign.
  const store = createStore(openDb(url))
  const validUntil = cli.clock.now() + 3600
  const { list, start } = await store.status.lease('token', 1, validUntil, 'm')
  await store.status.revoke({ list, idx: start }, validUntil)
  await store.db.close()

  await run(url, 'CREATE ROLE edge LOGIN')
  await run(url, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO edge')
  const edge = new URL(url)
  edge.username = 'edge'
  const settings = { DATABASE_URL: edge.href, MASTER_KEY: masterKey }
  const folder = join(cli.dir, 'public')
  const refused = await cli.run(['export', folder], { settings })
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /ring_keys/,
    'the database user must be able to record how long a status list is valid',
  )

  await run(url, 'GRANT UPDATE (tokens_until) ON ring_keys TO edge')
  let stop = (_signal: string) => {}
  const stopSignal = () =>
    new Promise<string>((resolve) => {
      stop = resolve
    })
  const running = cli.run(['export', folder, '--watch', '--json'], { settings, stopSignal })
  let ended: string | undefined
  running.then(({ code, err }) => {
    ended = `${code}: ${err}`
  })
  const kids = () => {
    const jwks = join(folder, '.well-known/jwks.json')
    return existsSync(jwks) ? JSON.parse(readFileSync(jwks, 'utf8')).keys.length : 0
  }
  // _headers is written last.
  const isComplete = () => existsSync(join(folder, '_headers'))
  const waitForKeys = async (count: number) => {
    await until(() => ended !== undefined || (isComplete() && kids() === count))
    if (ended !== undefined) throw new Error(`the command has ended with ${ended}`)
    t.pass(`${count} keys`)
  }
  await waitForKeys(2)
  t.ok(existsSync(join(folder, 'status-lists', String(list))))
  t.equal((await all(['keys', 'rotate', '--json'])).code, 0)
  await waitForKeys(3)
  stop('SIGTERM')
  t.equal((await running).code, 0)
  const denied = await cli.run(['keys', 'rotate', '--force'], { settings })
  t.not(denied.code, 0, 'it cannot change anything else')
})
