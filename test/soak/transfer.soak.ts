/**
 * A transfer of 10,000 users and 100,000 sessions; more with TRANSFER_SESSIONS, ten sessions per user. The PostgreSQL
 * of the tests does not flush: the test shows that everything arrives, and roughly how long our own part takes.
 */
import { join } from 'node:path'
import t from 'tap'
import { storeSessions } from '../../bench/stored.ts'
import { systemRandom } from '../../src/system.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { startedCli } from '../support/processes/cli.ts'
import { testClock } from '../support/server/clock.ts'
import { login, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const SESSIONS = Number(process.env.TRANSFER_SESSIONS ?? 100_000)
const REGISTERED = {
  clientId: 'app',
  scope: 'orders:read',
  audience: 'https://orders.test',
  role: 'clerk',
  username: 'alice',
}

t.test(
  `a store with ${SESSIONS} sessions survives transfers from SQLite to PostgreSQL and back`,
  { timeout: 3_600_000 },
  async (t) => {
    const postgres = await startPostgres(t)
    const cli = await startedCli(t)
    const clock = testClock()
    const masterKey = systemRandom.bytes(32).toString('base64url')
    const stores = [
      `sqlite:${join(cli.dir, 'first.db')}`,
      await postgres.emptyDatabase(),
      `sqlite:${join(cli.dir, 'third.db')}`,
    ] as const
    const settings = (url: string) => ({
      DATABASE_URL: url,
      MASTER_KEY: masterKey,
      DATABASE_TIMEOUT: '1m',
      // One master key and three stores: a record names one store.
      STORE_RECORD_FILE: 'off',
    })
    const start = performance.now()
    const first = await testServer({ masterKey, clock, settings: settings(stores[0]) })
    await seed(first.store)
    let token: string = (await login(first)).json().refresh_token
    await storeSessions(first.store, clock.now(), SESSIONS, 0, REGISTERED)
    await first.close()
    t.comment(`filled in ${((performance.now() - start) / 1000).toFixed(1)} s`)

    const reports: { rows: number; tables: { table: string }[] }[] = []
    for (const [from, to] of [
      [stores[0], stores[1]],
      [stores[1], stores[2]],
    ] as const) {
      const start = performance.now()
      reports.push(await cli.json(['transfer', '--to', to], { settings: settings(from) }))
      const seconds = (performance.now() - start) / 1000
      t.comment(`${reports.at(-1)?.rows} rows to ${to.split(':')[0]} in ${seconds.toFixed(1)} s`)
      const server = await testServer({ masterKey, clock, settings: settings(to) })
      const answer = await refresh(server, token)
      t.equal(answer.statusCode, 200, 'a refresh token from before works')
      token = answer.json().refresh_token
      await server.close()
      const verified = await cli.json<{ intact: boolean }>(['audit', 'verify'], { settings: settings(to) })
      t.ok(verified.intact, 'and the audit log verifies')
    }
    // The refresh between the transfers changes its session and its key and adds a row to the audit log.
    const changed = ['client_sessions', 'ring_keys', 'audit', 'audit_head']
    const unchanged = reports.map(({ tables }) => tables.filter(({ table }) => !changed.includes(table)))
    t.same(
      unchanged[1],
      unchanged[0],
      'counts and checksums are the same after both transfers, except for what the refresh changed',
    )
    t.equal(reports[1]?.rows, (reports[0]?.rows ?? 0) + 1)
  },
)
