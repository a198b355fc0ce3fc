/** The transfer command, between SQLite and PostgreSQL. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import pg from 'pg'
import t from 'tap'
import { createStore, openDb } from '../../src/store/index.ts'
import { migrate, TRANSFER_MARK } from '../../src/store/migrate.ts'
import { TABLES } from '../../src/store/tables.ts'
import { systemRandom } from '../../src/system.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { testClock } from '../support/server/clock.ts'
import {
  basic,
  claimsOf,
  clientCredentials,
  encodeForm,
  login,
  post,
  refresh,
} from '../support/server/requests.ts'
import { seed, user } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const postgres = await startPostgres(t)
const masterKey = systemRandom.bytes(32).toString('base64url')

interface Report {
  readonly to: string
  readonly rows: number
  readonly tables: readonly { table: string; rows: number; checksum: string }[]
}

/** Runs `work` with a server on a store. */
async function serving<T>(url: string, work: (server: TestServer) => Promise<T>): Promise<T> {
  const server = await testServer({ masterKey, clock, settings: { DATABASE_URL: url } })
  try {
    return await work(server)
  } finally {
    await server.close()
  }
}
const clock = testClock()

const transfer = (cli: Cli, from: string, to: string) =>
  cli.json<Report>(['transfer', '--to', to], { settings: { DATABASE_URL: from, MASTER_KEY: masterKey } })

const runTransfer = (cli: Cli, from: string, to: string) =>
  cli.run(['transfer', '--to', to], { settings: { DATABASE_URL: from, MASTER_KEY: masterKey } })

t.test('the transfer covers every table of the migrations in the order of foreign keys', async (t) => {
  const db = openDb('sqlite::memory:')
  t.teardown(() => db.close())
  await migrate(db, clock)
  const reports = await db.query<{ name: string }>(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`,
  )
  const names = TABLES.map(({ name }) => name)
  t.same([...names, 'schema_migrations'].sort(), reports.map(({ name }) => name).sort())
  for (const [i, { name, key, seeded = false }] of TABLES.entries()) {
    const columns = await db.query<{ name: string; pk: number }>(`PRAGMA table_info(${name})`)
    const primary = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk)
    t.same(
      [...key],
      primary.map(({ name }) => name),
      `${name}: its primary key`,
    )
    const references = await db.query<{ table: string }>(`PRAGMA foreign_key_list(${name})`)
    for (const { table } of references) t.ok(names.indexOf(table) < i, `${name} comes after ${table}`)
    const [row] = await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)
    t.equal((row?.n ?? 0) > 0, seeded, `${name}: rows inserted by migrations`)
  }
})

t.test('sessions, tokens and keys survive transfers from SQLite to PostgreSQL and back', async (t) => {
  const cli = await startedCli(t)
  const first = `sqlite:${join(cli.dir, 'first.db')}`
  const second = await postgres.emptyDatabase()
  const third = `sqlite:${join(cli.dir, 'third.db')}`

  const before = await serving(first, async (server) => {
    await seed(server.store)
    const session = (await login(server)).json()
    const ended = (await login(server)).json()
    const revoked = (await clientCredentials(server)).json()
    const headers = { authorization: basic('machine') }
    t.equal((await post(server, '/oauth2/revoke', { token: revoked.access_token }, headers)).statusCode, 200)
    const revoke = encodeForm({ token: ended.refresh_token })
    await server.inject({
      method: 'POST',
      url: '/oauth2/revoke',
      headers: { authorization: basic('app'), 'content-type': 'application/x-www-form-urlencoded' },
      payload: revoke,
    })
    return { session, ended, revoked }
  })
  let token: string = before.session.refresh_token
  const reports: Report[] = []
  for (const [from, to] of [
    [first, second],
    [second, third],
  ] as const) {
    reports.push(await transfer(cli, from, to))
    await serving(to, async (server) => {
      const jwks = (await server.inject({ url: '/.well-known/jwks.json' })).json()
      const currentDate = new Date(clock.now() * 1000)
      await t.resolves(
        jwtVerify(before.session.access_token, createLocalJWKSet(jwks), { currentDate }),
        'an access token from before verifies',
      )
      const answer = await refresh(server, token)
      t.equal(answer.statusCode, 200, 'a refresh token from before works')
      t.equal(claimsOf(answer.json().access_token).sid, claimsOf(before.session.access_token).sid)
      const retry = await refresh(server, token)
      t.equal(retry.json().refresh_token, answer.json().refresh_token, 'a retry gets the same refresh token')
      token = answer.json().refresh_token
      t.match((await refresh(server, before.ended.refresh_token)).json(), { error: 'invalid_grant' })
      const headers = { authorization: basic('machine') }
      const introspected = await post(
        server,
        '/oauth2/introspect',
        { token: before.revoked.access_token },
        headers,
      )
      t.match(introspected.json(), { active: false }, 'a revoked token stays revoked')
      t.equal((await clientCredentials(server)).statusCode, 200)
      t.equal((await login(server)).statusCode, 200)
    })
  }
  for (const { tables, rows } of reports) {
    t.same(
      tables.map(({ table }) => table),
      TABLES.map(({ name }) => name),
    )
    t.equal(
      rows,
      tables.reduce((sum, one) => sum + one.rows, 0),
    )
    t.ok(rows > 20)
  }
})

t.test('transferring there and back changes no data: both moves have the same checksums', async (t) => {
  const cli = await startedCli(t)
  const first = `sqlite:${join(cli.dir, 'first.db')}`
  await serving(first, async (server) => {
    await seed(server.store)
    await login(server)
    // Unusual names, and more rows than one page or one statement holds.
    await server.store.users.insert({
      ...(await user()),
      id: 'x',
      username: 'zoë "💥" \\u0041',
      name: "Łukasz O'Neil\n; --",
    })
    for (let i = 0; i < 120; i += 1) {
      await server.store.db.batch(
        Array.from({ length: 100 }, (_, n) => ({
          sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, $2)',
          params: [`${n % 2 ? 'Aa' : 'aA'}-${i}_${n}`, 4_000_000_000 + n],
        })),
      )
    }
  })
  const second = await postgres.database(t)
  const third = `sqlite:${join(cli.dir, 'third.db')}`
  const out = await transfer(cli, first, second)
  const back = await transfer(cli, second, third)
  t.same(back.tables, out.tables)
  t.equal(out.tables.find(({ table }) => table === 'single_use')?.rows, 12_000)
  t.notMatch(out.to, /password/)
  const [a, b] = await Promise.all(
    [first, third].map(async (url) => {
      const db = openDb(url, { create: true })
      const rows = await Promise.all(
        TABLES.map(({ name, key }) => db.query(`SELECT * FROM ${name} ORDER BY ${key.join(', ')}`)),
      )
      await db.close()
      return rows
    }),
  )
  t.same(b, a)
})

t.test('a non-empty target is refused and left unchanged', async (t) => {
  const cli = await startedCli(t)
  const [first, second] = [`sqlite:${join(cli.dir, 'first.db')}`, `sqlite:${join(cli.dir, 'second.db')}`]
  await serving(first, (server) => seed(server.store))
  await serving(second, (server) => seed(server.store))
  const ring = () => serving(second, async ({ store }) => store.ring.read())
  const before = await ring()
  t.match(await runTransfer(cli, first, second), { code: 1, err: /the target is not empty: it has ring/ })
  t.same(await ring(), before)
  t.match(await runTransfer(cli, first, first), { code: 2, err: /is the source database/ })
  t.match(await runTransfer(cli, first, `sqlite:${cli.dir}/./first.db`), { code: 2 })
  for (const to of ['mysql://x', 'sqlite::memory:']) t.match(await runTransfer(cli, first, to), { code: 2 })
  for (const to of [`${second}\r`, ` ${second}`, 'postgres://x.example/y ']) {
    t.match(await runTransfer(cli, first, to), { code: 2, err: /must not begin or end with white space/ })
  }
  const none = `sqlite:${join(cli.dir, 'none.db')}`
  t.match(await runTransfer(cli, none, `sqlite:${join(cli.dir, 'new.db')}`), {
    code: 1,
    err: /no database at .*none\.db/,
  })
  t.notOk(existsSync(join(cli.dir, 'none.db')) || existsSync(join(cli.dir, 'new.db')))
})

t.test('a store that a running server uses is not transferred, on either engine', async (t) => {
  const cli = await startedCli(t)
  const [first, second] = [`sqlite:${join(cli.dir, 'first.db')}`, await postgres.emptyDatabase()]
  const third = `sqlite:${join(cli.dir, 'third.db')}`
  await serving(first, async (server) => {
    await seed(server.store)
    t.match(await runTransfer(cli, first, second), { code: 1, err: /is in use: stop the server/ })
  })
  await transfer(cli, first, second)
  await serving(second, async () => {
    t.match(await runTransfer(cli, second, third), { code: 1, err: /other nodes or commands are connected/ })
  })
  t.notOk(existsSync(join(cli.dir, 'third.db')))
})

t.test('a transfer waits for the connections of a server that was just stopped', async (t) => {
  const cli = await startedCli(t)
  const [first, second] = [`sqlite:${join(cli.dir, 'first.db')}`, await postgres.emptyDatabase()]
  await serving(first, async (server) => void (await seed(server.store)))
  await transfer(cli, first, second)
  const leaving = new pg.Client({ connectionString: second, application_name: 'keyturn' })
  await leaving.connect()
  const transferred = transfer(cli, second, `sqlite:${join(cli.dir, 'third.db')}`)
  setTimeout(() => leaving.end(), 200)
  await transferred
  t.ok(existsSync(join(cli.dir, 'third.db')))
})

t.test(
  'a target left by an unfinished transfer cannot be opened, and the next transfer starts over',
  async (t) => {
    const cli = await startedCli(t)
    const first = `sqlite:${join(cli.dir, 'first.db')}`
    await serving(first, (server) => seed(server.store))
    for (const to of [`sqlite:${join(cli.dir, 'second.db')}`, await postgres.emptyDatabase()]) {
      // The state after a kill between two tables.
      const db = openDb(to, { create: true })
      await migrate(db, clock)
      await db.batch([
        { sql: `INSERT INTO schema_migrations VALUES ('${TRANSFER_MARK}', '', 1)` },
        { sql: `INSERT INTO single_use VALUES ('half', 1)` },
        { sql: 'DELETE FROM revisions' },
      ])
      await db.close()
      const settings = { DATABASE_URL: to, MASTER_KEY: masterKey }
      for (const args of [['serve'], ['keys', 'list'], ['migrate']]) {
        const { code, err } = await cli.run(args, { settings })
        t.match({ code, err }, { code: 1, err: /did not finish: run it again/ }, args.join(' '))
      }
      const { tables } = await transfer(cli, first, to)
      t.equal(tables.find(({ table }) => table === 'single_use')?.rows, 0)
      await serving(to, async (server) => {
        t.equal((await clientCredentials(server)).statusCode, 200)
        t.same(await server.store.db.query(`SELECT * FROM single_use WHERE id = 'half'`), [])
      })
    }
  },
)

t.test('a row that arrives altered is detected and makes the target unusable', async (t) => {
  const cli = await startedCli(t)
  const first = `sqlite:${join(cli.dir, 'first.db')}`
  const to = `sqlite:${join(cli.dir, 'second.db')}`
  await serving(first, (server) => seed(server.store))
  const db = openDb(to, { create: true })
  await migrate(db, clock)
  await db.batch([
    {
      sql: `CREATE TRIGGER bad AFTER INSERT ON clients BEGIN
              UPDATE clients SET disabled = 1 - disabled WHERE id = 'machine'; END`,
    },
  ])
  await db.close()
  t.match(await runTransfer(cli, first, to), { code: 1, err: /clients does not equal its source/ })
  t.match(await cli.run(['keys', 'list'], { settings: { DATABASE_URL: to } }), {
    code: 1,
    err: /did not finish/,
  })
})

t.test('a transfer shows its progress and prints no password', async (t) => {
  const cli = await startedCli(t)
  const first = `sqlite:${join(cli.dir, 'first.db')}`
  await serving(first, (server) => seed(server.store))
  const url = new URL(await postgres.emptyDatabase())
  url.password = 'hunter2'
  const { code, out, err } = await runTransfer(cli, first, url.href)
  t.equal(code, 0, err)
  t.match(out, /^clients +\d+ +[0-9a-f]{32}$/m)
  t.match(out, /rows copied to postgres:\/\/postgres@127/)
  t.notMatch(out + err, /hunter2/)
  const store = createStore(openDb(url.href))
  t.ok((await store.ring.read())?.keys.length === 2)
  await store.db.close()
})
