import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { mock } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import type { Step } from '../../src/store/db.ts'
import { node } from '../contracts/nodes.ts'
import { type Cli, type RunOptions, startedCli, testCli } from '../support/processes/cli.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { smallDisk, withoutTmpfs } from '../support/processes/fault-injection.ts'
import { freePort } from '../support/server/free-port.ts'

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
}

const DAY = 86_400

/** A new folder. Nothing listens on its port. */
async function folder(t: Test): Promise<{ cli: Cli; settings: Record<string, string> }> {
  return { cli: testCli(t), settings: { PORT: String(await freePort()) } }
}

/**
 * An installation with a key ring after its first rotation. Each test uses a copy, because generating keys is slow.
 */
const template = await startedCli(t)
await template.json(['keys', 'rotate'])
await template.json(['apis', 'create', 'https://orders.example', '--scope', 'read'])

async function installation(t: Test) {
  const { cli, settings } = await folder(t)
  cpSync(template.dir, cli.dir, { recursive: true })
  cli.clock.set(template.clock.now())
  return { cli, settings }
}

async function examine(cli: Cli, options: RunOptions = {}) {
  const outcome = await cli.run(['doctor', '--json'], options)
  const findings = outcome.json<Finding[]>()
  return { code: outcome.code, err: outcome.err, findings, bad: findings.filter(({ ok }) => !ok) }
}

const sql = (cli: Cli, ...steps: Step[]) => cli.withStore((store) => store.db.batch(steps))

t.test('without a database the doctor says so and creates nothing (docs/security.md R5)', async (t) => {
  const { cli, settings } = await folder(t)
  const { code, findings, bad } = await examine(cli, { settings })
  t.equal(code, 1)
  t.same(bad, [
    { check: 'store', ok: false, message: `no database at ${cli.database}: npx keyturn serve creates one` },
  ])
  t.match(
    findings.find(({ check }) => check === 'server'),
    { message: /^not running at/ },
  )
  t.same(readdirSync(cli.dir), [], 'no file or folder was created')
})

t.test('on a healthy installation every check passes with one line of output each', async (t) => {
  const { cli, settings } = await installation(t)
  const before = readFileSync(cli.database)
  const { code, findings } = await examine(cli, { settings })
  t.equal(code, 0)
  t.same(
    findings.map(({ check }) => check),
    [
      ...['configuration', 'clock', 'master key', 'keys folder', 'data folder', 'database file'],
      ...['free space', 'store'],
      ...[
        'durability',
        'integrity',
        'migrations',
        'store record',
        'ring',
        'nodes',
        'signing keys',
        'master key rotation',
        'schedule',
        'server',
      ],
    ],
  )
  const { out } = await cli.run(['doctor'], { settings })
  t.match(out, /^(ok {2}[a-z ]+ {2}\S.*\n){18}$/)
  t.ok(before.equals(readFileSync(cli.database)), 'the database is unchanged')
})

t.test('a database without a schema is a fault; the rest is still checked', async (t) => {
  const { cli, settings } = await installation(t)
  await sql(cli, { sql: 'DELETE FROM schema_migrations' })
  const { code, bad } = await examine(cli, { settings })
  t.equal(code, 1)
  t.match(bad, [
    { check: 'migrations', message: `no database at ${cli.database}: npx keyturn serve creates one` },
  ])
})

/** A fault, and the checks that the doctor then reports as failed. */
const faults: {
  title: string
  break?: (cli: Cli) => unknown
  options?: (cli: Cli) => RunOptions
  bad: { check: string; message: RegExp }[]
}[] = [
  {
    title: 'invalid settings, each reported in its own line',
    options: () => ({ settings: { PROT: '1', LOG_LEVEL: 'loud' } }),
    bad: [
      { check: 'configuration', message: /KEYTURN_PROT is not a setting/ },
      { check: 'configuration', message: /KEYTURN_LOG_LEVEL must be one of/ },
    ],
  },
  {
    title: 'a clock that was never set',
    break: (cli) => cli.clock.set(1_000_000_000),
    bad: [
      { check: 'clock', message: /2001-09-09.*set the clock/ },
      { check: 'ring', message: /has a time in the future/ },
    ],
  },
  {
    title: 'a clock that was set back',
    break: (cli) => cli.clock.tick(-3600),
    bad: [{ check: 'ring', message: /has a time in the future: the clock was set back/ }],
  },
  {
    title: 'a master key readable by other users',
    break: (cli) => chmodSync(join(cli.keysDir, 'master.key'), 0o644),
    bad: [{ check: 'master key', message: /can be read by others: chmod 600/ }],
  },
  {
    title: 'an old master key readable by other users',
    break: (cli) => {
      const old = join(cli.keysDir, 'master.key.old')
      copyFileSync(join(cli.keysDir, 'master.key'), old)
      chmodSync(old, 0o640)
    },
    options: (cli) => ({
      settings: { MASTER_KEY: readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim() },
    }),
    bad: [{ check: 'master key', message: /master\.key\.old can be read by others: chmod 600/ }],
  },
  {
    title: 'a database that is gone',
    break: (cli) => rmSync(cli.database),
    bad: [
      {
        check: 'store',
        message: /^no database at .*store\.json names the store that should be there; mount or restore it/,
      },
    ],
  },
  {
    title: 'a disk that is not mounted',
    break: (cli) => rmSync(join(cli.dir, 'data'), { recursive: true }),
    bad: [
      { check: 'data folder', message: /data is missing, although .*store\.json names the store/ },
      { check: 'store', message: /^no database at .*serve --new to create an empty one/ },
    ],
  },
  {
    title: 'a damaged master key',
    break: (cli) => truncateSync(join(cli.keysDir, 'master.key'), 10),
    bad: [{ check: 'master key', message: /is damaged/ }],
  },
  {
    title: 'a folder in place of the master key',
    options: (cli) => {
      mkdirSync(join(cli.dir, 'other', 'master.key'), { recursive: true })
      return { settings: { KEYS_DIR: join(cli.dir, 'other') } }
    },
    bad: [{ check: 'master key', message: /is not a file/ }],
  },
  {
    title: 'a missing master key',
    options: (cli) => ({ settings: { KEYS_DIR: join(cli.dir, 'other') } }),
    bad: [{ check: 'signing keys', message: /the master key is missing.*restore/ }],
  },
  {
    title: 'another master key',
    options: () => ({ settings: { MASTER_KEY: Buffer.alloc(32, 7).toString('base64url') } }),
    bad: [{ check: 'signing keys', message: /it is encrypted under the master key/ }],
  },
  {
    title: 'folders writable by other users',
    break: (cli) => {
      chmodSync(cli.keysDir, 0o777)
      chmodSync(join(cli.dir, 'data'), 0o777)
    },
    bad: [
      { check: 'keys folder', message: /others can write to .*: chmod 700/ },
      { check: 'data folder', message: /others can write to .*: chmod 700/ },
    ],
  },
  {
    title: 'a database readable by other users',
    break: (cli) => chmodSync(cli.database, 0o644),
    bad: [{ check: 'database file', message: /can be read by others.*chmod 600/ }],
  },
  {
    title: 'an empty database',
    break: (cli) => truncateSync(cli.database, 0),
    bad: [{ check: 'store', message: /restore a backup/ }],
  },
  {
    title: 'a file that is not a database',
    break: (cli) => writeFileSync(cli.database, 'not a database'.repeat(1000)),
    bad: [{ check: 'store', message: /not a database/ }],
  },
  {
    title: 'a truncated database',
    break: (cli) => truncateSync(cli.database, Math.floor(statSync(cli.database).size / 8192) * 4096),
    bad: [{ check: 'store', message: /malformed: restore a backup/ }],
  },
  {
    title: 'a damaged page',
    break: (cli) => {
      const db = new Database(cli.database)
      const page = db
        .prepare(`SELECT rootpage FROM sqlite_master WHERE name = 'rate_limits_by_end'`)
        .pluck()
        .get()
      db.close()
      const bytes = readFileSync(cli.database)
      bytes.fill(0xff, (Number(page) - 1) * 4096, Number(page) * 4096)
      writeFileSync(cli.database, bytes)
    },
    bad: [{ check: 'integrity', message: /restore a backup/ }],
  },
  {
    title: 'a row that references a deleted row',
    break: (cli) => {
      const db = new Database(cli.database)
      db.pragma('foreign_keys = OFF')
      db.exec(`INSERT INTO user_roles VALUES ('u_gone', 'gone')`)
      db.close()
    },
    bad: [{ check: 'integrity', message: /refer to rows that do not exist/ }],
  },
  {
    title: 'a database of a newer version',
    break: (cli) => sql(cli, { sql: `INSERT INTO schema_migrations VALUES ('9999_future', 'x', 1)` }),
    bad: [{ check: 'migrations', message: /newer than this program.*upgrade/ }],
  },
  {
    title: 'no key ring, although there was one',
    break: (cli) => sql(cli, { sql: 'DELETE FROM ring_keys' }),
    bad: [{ check: 'ring', message: /there are rows in ring, .*: restore a backup/ }],
  },
  {
    title: 'a key ring without an active key',
    break: (cli) => sql(cli, { sql: `DELETE FROM ring_keys WHERE state = 'active'` }),
    bad: [{ check: 'ring', message: /0 active keys/ }],
  },
  {
    title: 'a key ring without a next key',
    break: (cli) => sql(cli, { sql: `UPDATE ring_keys SET state = 'revoked' WHERE state = 'next'` }),
    bad: [{ check: 'ring', message: /0 next keys/ }],
  },
  {
    title: 'a damaged private key',
    break: (cli) =>
      sql(cli, {
        sql: `UPDATE ring_keys SET encrypted_private_key = substr(encrypted_private_key, 1, 100) WHERE state = 'next'`,
      }),
    bad: [{ check: 'signing keys', message: /cannot be decrypted: the text is damaged/ }],
  },
  {
    title: 'a public key that does not match its private key',
    break: (cli) =>
      sql(cli, {
        sql: `UPDATE ring_keys SET public_jwk = (SELECT public_jwk FROM ring_keys WHERE state = 'retiring')
               WHERE state = 'active'`,
      }),
    bad: [{ check: 'signing keys', message: /do not belong together/ }],
  },
  {
    title: 'a private key that was kept after its key stopped signing',
    break: (cli) =>
      sql(cli, {
        sql: `UPDATE ring_keys SET encrypted_private_key = (SELECT encrypted_private_key FROM ring_keys WHERE state = 'next')
               WHERE state = 'retiring'`,
      }),
    bad: [{ check: 'signing keys', message: /still has a private key/ }],
  },
  {
    title: 'a key that should have been removed',
    break: (cli) => cli.clock.tick(2 * DAY),
    bad: [{ check: 'schedule', message: /should have left the JWKS at .*start npx keyturn serve/ }],
  },
  {
    title: 'a key that should have been removed by the node that serves',
    break: async (cli) => {
      cli.clock.tick(2 * DAY)
      await cli.withStore(({ nodes }) =>
        nodes.record(node({ hostname: 'west', pid: 5, seenAt: cli.clock.now() })),
      )
    },
    bad: [{ check: 'schedule', message: /should have left the JWKS at .*the log of west:5 says why/ }],
  },
  {
    title: 'an overdue rotation',
    break: async (cli) => {
      await sql(cli, { sql: `DELETE FROM ring_keys WHERE state = 'retiring'` })
      cli.clock.tick(31 * DAY)
    },
    bad: [{ check: 'schedule', message: /a rotation has been due since .*start npx keyturn serve/ }],
  },
]

t.test('every fault is found and named, and the doctor finishes', async (t) => {
  for (const fault of faults) {
    await t.test(fault.title, async (t) => {
      const { cli, settings } = await installation(t)
      await fault.break?.(cli)
      const options = fault.options?.(cli) ?? {}
      const all = { ...options, settings: { ...settings, ...options.settings } }
      const { code, bad, err } = await examine(cli, all)
      t.equal(code, 1)
      t.equal(err, '', 'the findings name every fault')
      t.match(bad, fault.bad)
      t.equal(bad.length, fault.bad.length, JSON.stringify(bad))
      const { out } = await cli.run(['doctor'], all)
      t.equal(out.match(/^✗ {3}[a-z ]+ {2}\S/gm)?.length, fault.bad.length, out)
    })
  }
})

t.test('a running server must publish the keys of this store', async (t) => {
  const { cli, settings } = await installation(t)
  let stop = (_: string) => {}
  const stopSignal = () => new Promise<string>((resolve) => (stop = resolve))
  let announced = (_: string) => {}
  const ready = new Promise<string>((resolve) => (announced = resolve))
  const serving = cli.run(['serve', '--json'], { settings, stopSignal, out: announced })
  t.match(JSON.parse(await ready), { issuer: `http://localhost:${settings.PORT}` })

  t.match(await examine(cli, { settings }), { code: 0, bad: [] })
  const running = await examine(cli, { settings })
  t.match(running.findings.at(-1), { check: 'server', message: /publishes the keys of this store/ })
  const { fetch } = globalThis
  const old = await (await fetch(`http://localhost:${settings.PORT}/.well-known/jwks.json`)).text()
  await cli.json(['keys', 'rotate', '--force'], { settings })
  // As from a server that has not polled yet, for the first two of the doctor's requests.
  let stale = 2
  const stub = mock.method(globalThis, 'fetch', async (...request: Parameters<typeof fetch>) => {
    if (!String(request[0]).endsWith('/jwks.json') || stale === 0) return fetch(...request)
    stale -= 1
    return new Response(old)
  })
  t.match(
    await examine(cli, { settings }),
    { code: 0, bad: [] },
    'the doctor waits until the server has read the new ring',
  )
  stub.mock.restore()
  t.equal(stale, 0)

  const otherStore = {
    DATABASE_URL: `sqlite:${join(cli.dir, 'other.db')}`,
    KEYS_DIR: join(cli.dir, 'others'),
  }
  await cli.start(otherStore)
  t.match(await examine(cli, { settings: { ...settings, ...otherStore } }), {
    code: 1,
    bad: [{ check: 'server', message: /has other keys than this store/ }],
  })
  stop('SIGTERM')
  t.equal((await serving).code, 0)
})

t.test(
  'a server that only this machine can reach is found, and a server that is not ready is reported',
  async (t) => {
    const { cli, settings: port } = await installation(t)
    const settings = { ...port, ISSUER: 'https://login.invalid' }
    let stop = (_: string) => {}
    const stopSignal = () => new Promise<string>((resolve) => (stop = resolve))
    let announced = (_: string) => {}
    const ready = new Promise<string>((resolve) => (announced = resolve))
    const serving = cli.run(['serve', '--json'], { settings, stopSignal, out: announced, pid: 17 })
    await ready
    const nodes = () => cli.json<unknown[]>(['nodes'], { settings })
    while ((await nodes()).length === 0) await nextTurn()
    const seen = await examine(cli, { settings })
    t.equal(seen.code, 0)
    t.match(
      seen.findings.at(-1)?.message,
      /^running at http:\/\/127\.0\.0\.1:\d+, and https:\/\/login\.invalid is not reachable/,
    )
    t.match(
      seen.findings.find(({ check }) => check === 'nodes'),
      { ok: true, message: /^1 node: .*:17$/ },
    )
    // Elsewhere, only its heartbeat tells that it runs.
    const elsewhere = await examine(cli, { settings: { ...settings, PORT: String(await freePort()) } })
    t.match(elsewhere.findings.at(-1), { ok: true, message: /^running according to its heartbeat \(.*:17\)/ })

    const [database, away] = [cli.database, `${cli.database}.away`]
    renameSync(database, away)
    const isReady = async () => (await fetch(`http://127.0.0.1:${port.PORT}/health/ready`)).ok
    while (await isReady()) await nextTurn()
    const broken = await examine(cli, { settings })
    renameSync(away, database)
    t.match(broken.bad.at(-1), {
      check: 'server',
      message: /runs, but is not ready \(503\): its log says why/,
    })
    stop('SIGTERM')
    t.equal((await serving).code, 0)
  },
)

t.test('a disk that is almost full is reported', { skip: withoutTmpfs }, async (t) => {
  const { cli, settings: port } = await installation(t)
  const disk = smallDisk(t, join(emptyFolder(t).path, 'data'), 80_000_000)
  cpSync(cli.database, join(disk.path, 'keyturn.db'))
  chmodSync(join(disk.path, 'keyturn.db'), 0o600)
  const settings = { ...port, DATABASE_URL: `sqlite:${disk.path}/keyturn.db` }
  t.equal((await examine(cli, { settings })).code, 0)
  disk.fill()
  const { bad } = await examine(cli, { settings })
  t.match(
    bad.find(({ check }) => check === 'free space'),
    { message: /the disk of .*data has room for only 0 MiB: make room/ },
  )
})

t.test('another program at the issuer’s address is recognised as not being the server', async (t) => {
  const { cli, settings } = await installation(t)
  const otherProgram = createServer((_request, response) => response.writeHead(404).end('nothing'))
  await new Promise<void>((resolve) => otherProgram.listen(Number(settings.PORT), '127.0.0.1', resolve))
  t.teardown(() => otherProgram.close())
  t.match(await examine(cli, { settings: { ...settings, ISSUER: `http://127.0.0.1:${settings.PORT}` } }), {
    code: 1,
    bad: [{ check: 'server', message: /answers 404 without a JWKS/ }],
  })
  t.match(await examine(cli, { settings: { PORT: '0' } }), { code: 0 }, 'a port that is not assigned yet')
})
