/** The backup and restore commands. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { LIST_SIZE } from '../../src/store/contracts/status.ts'
import { readMigrations } from '../../src/store/migrate.ts'
import { systemRandom } from '../../src/system.ts'
import { type Cli, startedCli, testCli } from '../support/processes/cli.ts'
import { folderAt } from '../support/processes/data-folder.ts'
import { laterVersion, makeRelease } from '../support/processes/later-release.ts'
import { keyturn } from '../support/processes/process.ts'
import { masterKeysOf } from '../support/server/keys.ts'
import { seed } from '../support/server/seed.ts'

const mode = (file: string) => statSync(file).mode & 0o777

let template: Promise<Cli> | undefined

/** Returns a copy of a store with a key ring and all seeded data. Generating keys for each test would be slow. */
async function seeded(child: Test): Promise<Cli> {
  template ??= (async () => {
    const cli = await startedCli(t)
    await cli.json(['migrate'])
    await cli.json(['keys', 'list'])
    await cli.withStore((store) => seed(store))
    return cli
  })()
  const { dir } = await template
  const cli = testCli(child)
  for (const name of ['data', 'keys']) cpSync(join(dir, name), join(cli.dir, name), { recursive: true })
  return cli
}

/** Deletes everything except the master key and the backups. */
const loseDatabase = (cli: Cli) => rmSync(dirname(cli.database), { recursive: true })

t.test(
  'a backup is one intact file with all data, readable by its owner only, with no key in plain text',
  async (t) => {
    const cli = await seeded(t)
    const file = join(cli.dir, 'backup.db')
    const before = process.umask(0)
    const report = await cli.json(['backup', file])
    process.umask(before)
    t.match(report, { file, schema: readMigrations().at(-1)?.name, keys: 2, bytes: statSync(file).size })
    t.ok(Number(report.clients) > 2 && Number(report.users) > 0)
    t.equal(mode(file), 0o600)
    t.same(readdirSync(cli.dir).sort(), ['backup.db', 'data', 'keys'], 'no temporary file remains')
    const masterKey = Buffer.from(readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim(), 'base64url')
    const { privateKeys } = masterKeysOf(masterKey)
    const ring = await cli.withStore((store) => store.ring.read())
    const bytes = readFileSync(file)
    for (const { kid, encryptedPrivateKey: text } of ring?.keys ?? []) {
      t.ok(bytes.includes(text ?? 'nothing'), 'encrypted as in the store')
      t.notOk(bytes.includes(privateKeys.decrypt(kid, text ?? '').slice(30, 90)))
    }
    t.notOk(bytes.includes(masterKey.toString('base64url')))
    t.match((await cli.run(['backup', join(cli.dir, 'other.db')])).out, /keep a copy of it in another place/)
  },
)

t.test('a backup overwrites a file only with --force, and never the database itself', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  writeFileSync(file, 'precious')
  t.match(await cli.run(['backup', file]), { code: 1, err: /already exists; --force overwrites it/ })
  t.equal(readFileSync(file, 'utf8'), 'precious')
  t.equal((await cli.json(['backup', file, '--force'])).keys, 2)
  for (const target of [cli.database, join(cli.dir, 'data/../data/keyturn.db')]) {
    t.match(await cli.run(['backup', target, '--force']), { code: 1, err: /is the database itself/ })
  }
  t.match(await cli.run(['backup', join(cli.dir, 'unmounted/b.db')]), { code: 1, err: /there is no folder/ })
  t.same(readdirSync(cli.dir).sort(), ['backup.db', 'data', 'keys'])
  t.equal((await cli.json<unknown[]>(['keys', 'list'])).length, 2, 'the database is unchanged')
})

t.test(
  'backup exits 1 and creates nothing if there is no database or another tool must be used',
  async (t) => {
    const cli = testCli(t)
    const file = join(cli.dir, 'backup.db')
    t.match(await cli.run(['backup', file]), { code: 1, err: /no database at/ })
    const MASTER_KEY = systemRandom.bytes(32).toString('base64url')
    const settings = { DATABASE_URL: 'postgres://keyturn@127.0.0.1:1/none', MASTER_KEY }
    t.match(await cli.run(['backup', file], { settings }), { code: 1, err: /pg_dump/ })
    t.match(await cli.run(['restore', file], { settings }), { code: 1, err: /pg_restore/ })
    t.same(readdirSync(cli.dir), [])
  },
)

t.test('a damaged database is not backed up as if it were intact', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  const size = statSync(cli.database).size
  const bytes = readFileSync(cli.database)
  writeFileSync(cli.database, bytes.fill(0x5a, 4096 * 3, size - 4096))
  t.match(await cli.run(['backup', file]), { code: 1, err: /damaged|malformed/ })
  t.same(readdirSync(cli.dir).sort(), ['data', 'keys'])
})

t.test('a restore brings back all data and reports what it restored (docs/security.md R3)', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  const { bytes: _, file: __, ...contents } = await cli.json(['backup', file])
  const keys = await cli.json(['keys', 'list'])
  const dump = await cli.withStore(everything)
  loseDatabase(cli)
  chmodSync(file, 0o644)
  const report = await cli.json(['restore', file])
  const active = (keys as unknown as { kid: string; state: string }[]).find((key) => key.state === 'active')
  t.same(report, { database: cli.database, ...contents, pending: 0, active: active?.kid, put_aside: null })
  t.same(await cli.json(['keys', 'list']), keys)
  t.same(await cli.withStore(everything), dump)
  t.equal(mode(cli.database), 0o600, 'whatever the mode of the backup is')
  t.equal(mode(dirname(cli.database)), 0o700)
  // Another server of this machine may be on the default port.
  const settings = { PORT: '0' }
  const checks = await cli.json<{ check: string; ok: boolean }[]>(['doctor'], { settings })
  t.same(checks && readdirSync(dirname(cli.database)), ['keyturn.db'])
})

/** Returns all rows except those that a restore changes intentionally. */
async function everything(store: { db: { query(sql: string): Promise<unknown[]> } }) {
  const tables = ['ring_keys', 'clients', 'users', 'user_roles', 'roles', 'apis', 'api_scopes', 'revisions']
  return Promise.all(tables.map((table) => store.db.query(`SELECT * FROM ${table} ORDER BY 1, 2`)))
}

t.test(
  'status list indices assigned after the backup are not assigned again after the restore',
  async (t) => {
    const cli = await seeded(t)
    const file = join(cli.dir, 'backup.db')
    const before = await cli.withStore(({ status }) => status.lease('token', 64, 4_000_000_000, 'machine'))
    await cli.json(['backup', file])
    const later = await cli.withStore(({ status }) => status.lease('token', 64, 4_000_000_000, 'machine'))
    t.equal(later.list, before.list)
    await cli.json(['restore', file, '--force'])
    const after = await cli.withStore(({ status }) => status.lease('token', 64, 4_000_000_000, 'machine'))
    t.not(after.list, later.list)
    t.ok(after.start + after.size <= LIST_SIZE)
  },
)

t.test('restore keeps an existing database, and --force moves it aside intact', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  await cli.json(['roles', 'create', 'later', '--scope', 'orders:read'])
  t.match(await cli.run(['restore', file]), { code: 1, err: /--force renames it/ })
  t.equal((await cli.json<unknown[]>(['roles', 'list'])).length, 2)
  const { put_aside: aside } = await cli.json<{ put_aside: string }>(['restore', file, '--force'])
  t.equal((await cli.json<unknown[]>(['roles', 'list'])).length, 1)
  t.same(readdirSync(dirname(cli.database)).length, 2)
  const old = await cli.json<unknown[]>(['roles', 'list'], { settings: { DATABASE_URL: `sqlite:${aside}` } })
  t.equal(old.length, 2)
  const again = await cli.json<{ put_aside: string }>(['restore', file, '--force'])
  t.ok(existsSync(aside) && again.put_aside !== aside, 'the next restore overwrites neither database')
})

t.test(
  'restore moves a damaged database aside, and the restored one does not use its write-ahead log',
  async (t) => {
    const cli = await seeded(t)
    const file = join(cli.dir, 'backup.db')
    await cli.json(['backup', file])
    writeFileSync(cli.database, 'garbage '.repeat(2000))
    writeFileSync(`${cli.database}-wal`, 'more garbage')
    const { put_aside: aside } = await cli.json<{ put_aside: string }>(['restore', file, '--force'])
    t.match(readFileSync(aside, 'utf8'), /^garbage/)
    t.notOk(existsSync(`${cli.database}-wal`))
    t.equal((await cli.json<unknown[]>(['keys', 'list'])).length, 2)
  },
)

t.test('a database that another process has open is not replaced', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  await cli.withStore(async () => {
    t.match(await cli.run(['restore', file, '--force']), { code: 1, err: /is in use: stop the server/ })
    await cli.json(['backup', file, '--force'])
  })
  t.same(readdirSync(dirname(cli.database)), ['keyturn.db'])
})

t.test('a running server is the first thing that restore reports, with and without --force', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  await cli.withStore(async () => {
    const [plain, forced] = [await cli.run(['restore', file]), await cli.run(['restore', file, '--force'])]
    t.match(plain, { code: 1, err: /is in use: stop the server/ })
    t.equal(plain.err, forced.err)
  })
})

t.test('an error does not share a line with the progress that it ends', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  const { code, err } = await cli.run(['backup', file], { errIsTerminal: true })
  t.equal(code, 1)
  t.equal(err, `copying …\r\u001b[Kkeyturn: ${file} already exists; --force overwrites it\n`)
})

t.test(
  'a backup from before a rotation of the master key: the error names the old key, which works',
  async (t) => {
    const cli = await seeded(t)
    const file = join(cli.dir, 'backup.db')
    await cli.json(['backup', file])
    await cli.json(['master-key', 'rotate'])
    const old = join(cli.keysDir, 'master.key.old')
    const refused = await cli.run(['restore', file, '--force'])
    t.equal(refused.code, 1)
    t.match(refused.err, `${old} is that key: run the command with KEYTURN_MASTER_KEY_NEXT_FILE=${old}`)
    const settings = { MASTER_KEY_NEXT_FILE: old }
    t.match(await cli.json(['restore', file, '--force'], { settings }), { keys: 2 })
    t.equal((await cli.json<unknown[]>(['keys', 'list'], { settings })).length, 2)
  },
)

t.test('an unusable backup file is refused before anything is changed', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  await cli.json(['roles', 'create', 'later', '--scope', 'orders:read'])
  const damagedCopy = (name: string, work: (copy: string) => void) => {
    const copy = join(cli.dir, name)
    copyFileSync(file, copy)
    work(copy)
    return copy
  }
  const sql = (text: string) => (copy: string) => {
    const db = new Database(copy)
    db.pragma('foreign_keys = OFF')
    db.exec(text)
    db.close()
  }
  const cases: [string, RegExp][] = [
    [join(cli.dir, 'nowhere.db'), /there is no file/],
    [damagedCopy('cut.db', (copy) => truncateSync(copy, 4096 * 5)), /is damaged/],
    [
      damagedCopy('garbage.db', (copy) => writeFileSync(copy, 'garbage '.repeat(2000))),
      /is damaged or not a database/,
    ],
    [damagedCopy('broken.db', sql('DELETE FROM users')), /is damaged \(broken references\)/],
    [damagedCopy('foreign.db', sql('DROP TABLE schema_migrations')), /is not a backup of Keyturn/],
    [
      damagedCopy('newer.db', sql(`INSERT INTO schema_migrations VALUES ('9999_future', 'x', 1)`)),
      /newer than this program/,
    ],
    [cli.database, /is the database itself/],
  ]
  for (const [backup, reason] of cases) {
    t.match(await cli.run(['restore', backup, '--force']), { code: 1, err: reason }, String(reason))
  }
  const MASTER_KEY = systemRandom.bytes(32).toString('base64url')
  const other = await cli.run(['restore', file, '--force'], { settings: { MASTER_KEY } })
  t.match(other, { code: 1, err: /it is encrypted under the master key/ })
  const missing = await cli.run(['restore', file, '--force'], {
    settings: { KEYS_DIR: join(cli.dir, 'none') },
  })
  t.match(missing, { code: 1, err: /master.key is missing/ })
  chmodSync(join(cli.keysDir, 'master.key'), 0o644)
  t.match(await cli.run(['restore', file, '--force']), { code: 1, err: /can be read by others/ })
  chmodSync(join(cli.keysDir, 'master.key'), 0o600)

  t.same(
    readdirSync(dirname(cli.database)),
    ['keyturn.db'],
    'nothing was moved aside, and no temporary file remains',
  )
  t.equal((await cli.json<unknown[]>(['roles', 'list'])).length, 2)
})

t.test('the next release restores a backup of this one with a hint to migrate it', async (t) => {
  const cli = await seeded(t)
  const file = join(cli.dir, 'backup.db')
  await cli.json(['backup', file])
  loseDatabase(cli)
  const next = makeRelease(t as Test, laterVersion(1), {
    '0900_more.sql': '-- expand\nCREATE TABLE more (id TEXT PRIMARY KEY);\n',
  })
  const folder = folderAt(cli.dir)
  const { code, stdout, stderr } = await keyturn(folder, ['restore', file], next.run)
  t.equal(code, 0, stderr)
  t.match(stdout, /older version: npx keyturn serve will migrate it/)
  t.match(await keyturn(folder, ['keys', 'list'], next.run), { code: 1, stderr: /needs 1 migration/ })
})

t.test('a file-level copy of a database made by another tool can be restored', async (t) => {
  const cli = await seeded(t)
  const folder = join(cli.dir, 'copy')
  mkdirSync(folder)
  await cli.withStore(async (store) => {
    await store.roles.insert({
      name: 'in the log only',
      scopes: [],
      requireSecondFactor: false,
      createdAt: 1,
    })
    for (const end of ['', '-wal']) copyFileSync(cli.database + end, join(folder, `copy.db${end}`))
  })
  loseDatabase(cli)
  await cli.json(['restore', join(folder, 'copy.db')])
  t.match(JSON.stringify(await cli.json(['roles', 'list'])), /in the log only/)
  t.same(readdirSync(folder).sort(), ['copy.db', 'copy.db-wal'], 'the copy is unchanged')
})
