/** A database that is gone, empty or another one is never taken for a new one. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { TABLES } from '../../src/store/tables.ts'
import { systemRandom } from '../../src/system.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { commandIn } from '../support/processes/cli.ts'
import {
  emptyFolder,
  type Folder,
  readStore,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'
import { clientCredentials } from '../support/server/requests.ts'

const keysOf = ({ masterKey }: Folder) => readdirSync(dirname(masterKey)).sort()

/** The start is refused in one line, and no database and no key is created. */
async function refused(t: Test, folder: Folder, says: RegExp) {
  const before = keysOf(folder)
  const { code, stderr } = await commandIn(folder, ['serve'])
  t.equal(code, 1, stderr)
  t.match(stderr, says)
  t.match(stderr, /^keyturn: [^\n]+\n$/, 'one line')
  t.match(stderr, /keyturn serve --new/, 'with the way out')
  t.same(keysOf(folder), before)
}

const publishedKeys = async (folder: Folder) =>
  readStore(folder, async (store) => (await store.ring.read())?.keys.map(({ kid }) => kid))

t.test(
  'a server whose database is gone does not start with an empty one (docs/security.md R5)',
  async (t) => {
    const folder = await seededFolder(t)
    const away = join(folder.path, 'unmounted')
    renameSync(dirname(folder.database), away)
    const says =
      /no database at \S+keyturn\.db: \S+store\.json names the store that should be there; mount or restore it/
    await refused(t, folder, says)
    t.match(
      await commandIn(folder, ['clients', 'list']),
      { code: 1, stderr: says },
      'a command says the same',
    )
    t.notOk(existsSync(folder.database))
    mkdirSync(dirname(folder.database))
    await refused(t, folder, says)
    t.same(readdirSync(dirname(folder.database)), [], 'an empty mount point stays empty')

    rmSync(dirname(folder.database), { recursive: true })
    renameSync(away, dirname(folder.database))
    const server = await startServer(t, folder)
    t.equal((await clientCredentials(server)).statusCode, 200, 'with the database back it serves')
  },
)

t.test(
  'a master key file without a store record is enough evidence that there was a database (docs/security.md R5)',
  async (t) => {
    const folder = await seededFolder(t)
    rmSync(folder.record)
    rmSync(dirname(folder.database), { recursive: true })
    await refused(
      t,
      folder,
      /no database at \S+: there is a master key in \S+keys, so there was a store before/,
    )
  },
)

t.test(
  'serve --new begins a new store, says what was recorded before, and refuses an existing one',
  async (t) => {
    const folder = await seededFolder(t)
    const before = readFileSync(folder.record, 'utf8')
    const again = await commandIn(folder, ['serve', '--new'])
    t.match(again, { code: 1, stderr: /^keyturn: the database at \S+ is not new: start without --new\n$/ })

    rmSync(dirname(folder.database), { recursive: true })
    const fresh = await startServer(t, folder, { settings: { LOG_LEVEL: 'info' }, args: ['--new'] })
    t.match(JSON.parse(fresh.stdout()), { first_start: true })
    t.match(fresh.stderr(), 'another store was recorded before')
    t.not(readFileSync(folder.record, 'utf8'), before)
    await fresh.stop()
    t.equal((await (await startServer(t, folder)).stop()).code, 0, 'and the next start needs no option')
  },
)

t.test('another store under the same master key is refused, by serve and by commands', async (t) => {
  const folder = await seededFolder(t)
  const other = await seededFolder(t)
  const sql = new Database(other.database)
  sql.prepare(`UPDATE store_identity SET store = 'another'`).run()
  sql.pragma('wal_checkpoint(TRUNCATE)')
  sql.close()
  cpSync(other.database, folder.database)
  const says = /is store another, and \S+store\.json names store \S+: set KEYTURN_DATABASE_URL/
  await refused(t, folder, says)
  for (const args of [['keys', 'list'], ['clients', 'list'], ['doctor']]) {
    const { code, stderr, stdout } = await commandIn(folder, args)
    t.equal(code, 1)
    t.match(stderr + stdout, says, args.join(' '))
  }
  const taken = await startServer(t, folder, { args: ['--new'] })
  t.equal(
    (await clientCredentials(taken)).statusCode,
    200,
    'an administrator may say that it is the right one',
  )
  t.match(JSON.parse(readFileSync(folder.record, 'utf8')), { store: 'another' })
})

t.test('a database that has lost its key ring gets no new one', async (t) => {
  const folder = await seededFolder(t)
  const sql = new Database(folder.database)
  for (const table of ['ring_keys', 'ring', 'data_keys']) sql.exec(`DELETE FROM ${table}`)
  sql.exec(`UPDATE audit_head SET seq = 0, hash = '', base_seq = 0, base_hash = '', mac = NULL`)
  sql.exec('DELETE FROM audit')
  sql.close()
  await refused(t, folder, /has lost the key ring that it had according to \S+store\.json: restore a backup/)
  t.match(await commandIn(folder, ['keys', 'list']), { code: 1, stderr: /has no key ring/ })
  t.match(await commandIn(folder, ['audit', 'verify']), { code: 1, stdout: /store\.json/ })
})

function damage({ database }: Folder, ...statements: readonly string[]): void {
  const sql = new Database(database)
  sql.pragma('foreign_keys = OFF')
  for (const statement of statements) sql.exec(statement)
  sql.pragma('wal_checkpoint(TRUNCATE)')
  sql.close()
}

const RESET_HEAD = `UPDATE audit_head SET seq = 0, hash = '', base_seq = 0, base_hash = '', mac = NULL`
const DELETE_KEYS = ['ring_keys', 'ring', 'data_keys'].map((table) => `DELETE FROM ${table}`)
const DELETE_LOG = ['DELETE FROM audit', RESET_HEAD]
const emptied = (...kept: string[]) => [
  ...TABLES.toReversed()
    .filter(({ name, seeded }) => !seeded && ![...kept, 'store_identity'].includes(name))
    .map(({ name }) => `DELETE FROM ${name}`),
  RESET_HEAD,
  `UPDATE status_cursors SET next_position = 0`,
  `UPDATE revisions SET value = CASE name WHEN 'deletions' THEN 0 ELSE 1 END`,
]

/** What an attacker with only the database, or a failed disk, may leave of it; and what the message names. */
const LEFT: Readonly<Record<string, readonly [statements: readonly string[], names: string]>> = {
  'the keys are gone': [DELETE_KEYS, 'apis, .*clients, .* more tables'],
  'the keys and the log are gone': [[...DELETE_KEYS, ...DELETE_LOG], 'apis, .*clients, .* more tables'],
  'only the users are left': [emptied('users'), 'users'],
  'only the sessions are left': [
    emptied('users', 'clients', 'client_sessions'),
    'clients, users, client_sessions',
  ],
  'only the log is left': [emptied('audit'), 'audit'],
  'only a counter is left': [
    [...emptied(), `UPDATE revisions SET value = 2 WHERE name = 'registry'`],
    'revisions',
  ],
  'only the signed head is left': [[...emptied(), `UPDATE audit_head SET mac = 'v1.1.x'`], 'audit_head'],
}

t.test(
  'a database without its key ring is never taken for a new one, even if nothing is recorded outside it (docs/security.md R4, R5)',
  async (t) => {
    const used = await seededFolder(t, { STORE_RECORD_FILE: 'off', LOG_LEVEL: 'info' })
    await withOpened(used, (opened) => signIn(opened))
    const server = await startServer(t, used)
    await clientCredentials(server)
    await server.stop()
    const whole = readFileSync(used.database)
    for (const [label, [statements, names]] of Object.entries(LEFT)) {
      const folder = await seededFolder(t, { STORE_RECORD_FILE: 'off' })
      writeFileSync(folder.database, whole)
      damage(folder, ...statements)
      t.comment(label)
      const says = `has no key ring, but rows in ${names}: it is damaged; restore a backup, or run`
      await refused(t, folder, new RegExp(says))
      const { code, stdout } = await commandIn(folder, ['audit', 'verify'])
      t.match([code, stdout], [1, /no key ring, but rows in .*: the ring was deleted/], label)
      t.match(
        (await commandIn(folder, ['keys', 'list'])).stderr,
        /has no key ring, but rows in .*: restore a backup/,
      )
      t.equal(await publishedKeys(folder), undefined, 'nothing is created')
    }
  },
)

t.test(
  'parts of a key ring are damage, and no new ring is put beside them or offered (docs/security.md R5)',
  async (t) => {
    const cases: [table: string, settings: Record<string, string>][] = [
      ['ring', { STORE_RECORD_FILE: 'off' }],
      ['ring_keys', { STORE_RECORD_FILE: 'off' }],
      ['ring_keys', {}],
    ]
    for (const [table, settings] of cases) {
      const folder = await seededFolder(t, settings)
      damage(folder, `DELETE FROM ${table}`)
      for (const args of [['serve'], ['serve', '--new']]) {
        const { code, stderr } = await commandIn(folder, args)
        t.match([code, stderr], [1, /no key ring, but rows in .*: it is damaged; restore a backup\n$/])
      }
      t.match(await commandIn(folder, ['audit', 'verify']), { code: 1, stdout: /no key ring, but rows in/ })
    }
  },
)

t.test('serve --new gives a database that has lost its key ring a new one', async (t) => {
  const folder = await seededFolder(t, { STORE_RECORD_FILE: 'off' })
  damage(folder, ...DELETE_KEYS)
  await refused(t, folder, /has no key ring/)
  const server = await startServer(t, folder, { args: ['--new'] })
  t.equal((await clientCredentials(server)).statusCode, 200, 'with the clients that were left')
})

t.test(
  'a key ring without data keys is damage, for serve and for commands (docs/security.md R5)',
  async (t) => {
    for (const STORE_RECORD_FILE of [undefined, 'off']) {
      const folder = await seededFolder(t, STORE_RECORD_FILE ? { STORE_RECORD_FILE } : {})
      const sql = new Database(folder.database)
      sql.exec('DELETE FROM data_keys')
      sql.close()
      for (const args of [['serve'], ['keys', 'list'], ['keys', 'rotate'], ['master-key', 'rotate']]) {
        const { code, stderr } = await commandIn(folder, args)
        t.match(
          [code, stderr],
          [1, /has a key ring and no data key: it is damaged; restore a backup\n$/],
          args.join(' '),
        )
      }
      t.same(await readStore(folder, (store) => store.dataKeys.list()), [], 'none was created')
      t.equal((await commandIn(folder, ['audit', 'verify'])).code, 1)
    }
  },
)

t.test('a damaged store record is refused and not replaced', async (t) => {
  const folder = await seededFolder(t)
  for (const text of ['', '{"store":', '{"store":1}', '{"store":"x","audit":{"seq":"1"}}']) {
    writeFileSync(folder.record, text)
    const { code, stderr } = await commandIn(folder, ['serve'])
    t.match([code, stderr], [1, /store record \S+store\.json is damaged/])
    t.equal(readFileSync(folder.record, 'utf8'), text)
  }
})

t.test(
  'with a master key from the settings, the record is in the keys folder, or there is none',
  async (t) => {
    const MASTER_KEY = systemRandom.bytes(32).toString('base64url')
    const folder = emptyFolder(t, { MASTER_KEY, LOG_LEVEL: 'info' })
    await (await startServer(t, folder)).stop()
    t.same(keysOf(folder), ['store.json'])
    rmSync(dirname(folder.database), { recursive: true })
    await refused(t, folder, /store\.json names the store/)

    const unwritable = emptyFolder(t, {
      MASTER_KEY,
      LOG_LEVEL: 'info',
      STORE_RECORD_FILE: '/dev/null/store.json',
    })
    const refusedFile = await commandIn(unwritable, ['serve'])
    t.match([refusedFile.code, refusedFile.stderr], [1, /store record \S+ cannot be read \(ENOTDIR\)/])
    const off = emptyFolder(t, { MASTER_KEY, STORE_RECORD_FILE: 'off' })
    for (let start = 1; start <= 2; start += 1) await (await startServer(t, off)).stop()
    t.notOk(existsSync(join(off.path, 'keys')), 'a node without a keys folder gets none')
  },
)

t.test('commands on PostgreSQL need the tables, which only serve creates', async (t) => {
  const postgres = await startPostgres(t)
  const MASTER_KEY = systemRandom.bytes(32).toString('base64url')
  const [first, second] = [await postgres.emptyDatabase(), await postgres.emptyDatabase()]
  const folder = emptyFolder(t, { DATABASE_URL: first, MASTER_KEY })
  for (const args of [
    ['keys', 'list'],
    ['clients', 'list'],
    ['migrate'],
    ['migrate', '--status'],
    ['audit', 'verify'],
  ]) {
    const { code, stderr } = await commandIn(folder, args)
    t.match(
      [code, stderr],
      [1, /^keyturn: no database at postgres:\/\/\S+: npx keyturn serve creates one\n$/],
      args.join(' '),
    )
  }
  await (await startServer(t, folder)).stop()
  t.equal((await commandIn(folder, ['keys', 'list'])).code, 0)
  const wrong = await keyturn(folder, ['serve'], { settings: { DATABASE_URL: second } })
  t.match([wrong.code, wrong.stderr], [1, /no database at postgres:\S+: \S+store\.json names the store/])
  t.match(await keyturn(folder, ['keys', 'list'], { settings: { DATABASE_URL: second } }), { code: 1 })
})

t.test('a server starts with a restored store and with a transferred store', async (t) => {
  const folder = await seededFolder(t)
  const kids = await publishedKeys(folder)
  const backup = join(folder.path, 'backup.db')
  t.equal((await commandIn(folder, ['backup', backup])).code, 0)
  rmSync(dirname(folder.database), { recursive: true })
  rmSync(folder.record)
  t.equal((await commandIn(folder, ['restore', backup])).code, 0)
  t.same(await publishedKeys(folder), kids)
  await (await startServer(t, folder)).stop()

  const target = `sqlite:${join(folder.path, 'data', 'other.db')}`
  t.equal((await commandIn(folder, ['transfer', '--to', target])).code, 0)
  const moved = await startServer(t, folder, { settings: { DATABASE_URL: target } })
  t.equal((await clientCredentials(moved)).statusCode, 200)
})
