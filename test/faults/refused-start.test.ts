import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
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
import { exportPKCS8, generateKeyPair } from 'jose'
import t, { type Test } from 'tap'
import { type Folder, readStore, seededFolder, withOpened } from '../support/processes/data-folder.ts'
import { keyturn, type ProcessOptions, startServer } from '../support/processes/process.ts'
import { encryptPrivateKey } from '../support/server/keys.ts'
import { clientCredentials } from '../support/server/requests.ts'

interface Case {
  readonly what: string
  readonly damage: (folder: Folder) => unknown
  /** The one line on stderr. */
  readonly message: RegExp
}

/** The start is refused: exit 1, one line, and nothing is created, changed or repaired without the operator. */
async function refused(
  t: Test,
  folder: Folder,
  message: RegExp,
  options: ProcessOptions = {},
): Promise<void> {
  const before = snapshot(folder)
  const { code, stdout, stderr } = await keyturn(folder, ['serve', '--json'], options)
  t.equal(code, 1, stderr)
  t.match(stderr, message)
  t.match(stderr, /^keyturn: [^\n]+\n$/, 'one line')
  t.equal(Object.keys(JSON.parse(stdout)).join(), 'error', 'and one JSON document')
  t.same(snapshot(folder), before)
}

/** What must not change; the side files of the database come and go with every opening. */
function snapshot(folder: Folder) {
  const content = (file: string) =>
    !existsSync(file) ? 'none' : statSync(file).isFile() ? readFileSync(file, 'latin1') : 'no file'
  return {
    masterKey: content(folder.masterKey),
    keys: readdirSync(dirname(folder.masterKey)),
    database: content(folder.database),
    data: readdirSync(dirname(folder.database)).filter((name) => !/-(wal|shm)$/.test(name)),
  }
}

const sql = (folder: Folder, statement: string, ...params: unknown[]) => {
  const db = new Database(folder.database)
  db.prepare(statement).run(...params)
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

const OTHER_KEY = Buffer.alloc(32, 7).toString('base64url')

const masterKeys: Case[] = [
  {
    what: 'missing',
    damage: ({ masterKey }) => rmSync(masterKey),
    message: /master\.key is missing, and only it decrypts the keys in the database/,
  },
  {
    what: 'from another installation',
    damage: ({ masterKey }) => writeFileSync(masterKey, OTHER_KEY),
    message: /it is encrypted under the master key/,
  },
  {
    what: 'cut off',
    damage: ({ masterKey }) => truncateSync(masterKey, 20),
    message: /master\.key is damaged/,
  },
  { what: 'empty', damage: ({ masterKey }) => truncateSync(masterKey, 0), message: /master\.key is damaged/ },
  {
    what: 'not base64url',
    damage: ({ masterKey }) => writeFileSync(masterKey, '\0'.repeat(43)),
    message: /master\.key is damaged/,
  },
  {
    what: 'readable by others',
    damage: ({ masterKey }) => chmodSync(masterKey, 0o640),
    message: /master\.key can be read by others: chmod 600/,
  },
  {
    what: 'a folder',
    damage({ masterKey }) {
      rmSync(masterKey)
      mkdirSync(masterKey)
    },
    message: /master\.key is not a file/,
  },
]

for (const { what, damage, message } of masterKeys) {
  t.test(`a master key that is ${what} is refused and not replaced (docs/security.md Q8)`, async (t) => {
    const folder = await seededFolder(t)
    damage(folder)
    await refused(t, folder, message)
  })
}

/** Overwrites the middle of every page except the first, as a failing disk would. */
function damagePages({ database }: Folder): void {
  const bytes = readFileSync(database)
  for (let page = 4096; page < bytes.length; page += 4096) bytes.fill(0xa5, page, page + 200)
  writeFileSync(database, bytes)
}

const databases: Case[] = [
  { what: 'empty', damage: ({ database }) => truncateSync(database, 0), message: /is empty or cut off/ },
  {
    what: 'cut off',
    damage: ({ database }) => truncateSync(database, 8192),
    message: /keyturn\.db (cannot be opened|is damaged): .*malformed/,
  },
  {
    what: 'not a database',
    damage: ({ database }) => writeFileSync(database, 'x'.repeat(8192)),
    message: /keyturn\.db cannot be opened: file is not a database/,
  },
  {
    what: 'damaged in its pages',
    damage: damagePages,
    message: /keyturn\.db (cannot be opened|is damaged): /,
  },
  {
    what: 'newer than the program',
    damage: (folder) => sql(folder, `INSERT INTO schema_migrations VALUES ('9999_future', 'x', 1)`),
    message: /newer than this program \(it has 9999_future\): upgrade/,
  },
]

for (const { what, damage, message } of databases) {
  t.test(
    `a database that is ${what} is refused and not recreated (docs/security.md Q4, Q8, Q11)`,
    async (t) => {
      const folder = await seededFolder(t)
      damage(folder)
      await refused(t, folder, message)
    },
  )
}

/** Puts the private key of an unknown key into the row of a key, encrypted as it should be. */
const wrongPrivateKey = (state: string) => (folder: Folder) =>
  withOpened(folder, async ({ store, keys }) => {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    const key = (await store.ring.read())?.keys.find((one) => one.state === state)
    if (!key) throw new Error(`no ${state} key`)
    const text = encryptPrivateKey(keys.masterKeys, key.kid, await exportPKCS8(privateKey))
    sql(folder, 'UPDATE ring_keys SET encrypted_private_key = ? WHERE kid = ?', text, key.kid)
  })

const rings: Case[] = ['active', 'next'].flatMap((state): Case[] => [
  {
    what: `the ${state} key has the private key of another key`,
    damage: wrongPrivateKey(state),
    message: /the private key and the public key .* do not belong together/,
  },
  {
    what: `the ${state} key's private key is damaged`,
    damage: (folder) =>
      sql(
        folder,
        `UPDATE ring_keys SET encrypted_private_key = substr(encrypted_private_key, 1, 900) WHERE state = '${state}'`,
      ),
    message: /the private key .* cannot be decrypted/,
  },
])

for (const { what, damage, message } of rings) {
  t.test(
    `a key ring in which ${what} is refused, and no new one is created (docs/security.md Q8)`,
    async (t) => {
      const folder = await seededFolder(t)
      await damage(folder)
      await refused(t, folder, message)
    },
  )
}

/** Root may read every file, so permissions are tested as another user. */
const NOBODY = 65_534
const root = process.getuid?.() === 0
const asNobody: ProcessOptions = root ? { uid: NOBODY } : {}
const skip = nobodyCanRun()
  ? false
  : 'no other user can run the program from here: unreadable files were NOT tested'
if (skip) t.comment(`WARNING: ${skip}`)

function nobodyCanRun(): boolean {
  if (!root) return true
  const entry = new URL('../../src/keyturn.js', import.meta.url).pathname
  return spawnSync(process.execPath, [entry, '--version'], { uid: NOBODY, cwd: '/' }).status === 0
}

function giveToNobody(path: string): void {
  chownSync(path, NOBODY, NOBODY)
  if (!statSync(path).isDirectory()) return
  for (const name of readdirSync(path)) giveToNobody(join(path, name))
}

const modes: (Case & { readonly restore: (folder: Folder) => void })[] = [
  {
    what: 'a master key',
    damage: ({ masterKey }) => chmodSync(masterKey, 0),
    restore: ({ masterKey }) => chmodSync(masterKey, 0o600),
    message: /master\.key cannot be read \(EACCES\)/,
  },
  {
    what: 'a folder of keys',
    damage: ({ masterKey }) => chmodSync(dirname(masterKey), 0),
    restore: ({ masterKey }) => chmodSync(dirname(masterKey), 0o700),
    message: /master\.key cannot be read \(EACCES\)/,
  },
  {
    what: 'a database',
    damage: ({ database }) => chmodSync(database, 0),
    restore: ({ database }) => chmodSync(database, 0o600),
    message: /keyturn\.db cannot be opened: EACCES/,
  },
  {
    what: 'a database that can only be read',
    damage: ({ database }) => chmodSync(database, 0o400),
    restore: ({ database }) => chmodSync(database, 0o600),
    message: /keyturn\.db cannot be opened: EACCES/,
  },
  {
    what: 'a folder of the database',
    damage: ({ database }) => chmodSync(dirname(database), 0),
    restore: ({ database }) => chmodSync(dirname(database), 0o700),
    message: /keyturn\.db cannot be (created|opened): .*(EACCES|permission denied)/,
  },
]

for (const { what, damage, restore, message } of modes) {
  t.test(
    `${what} without permission is refused, and works once the permission is restored (docs/security.md Q4, Q8)`,
    { skip },
    async (t) => {
      const folder = await seededFolder(t)
      if (root) giveToNobody(folder.path)
      damage(folder)
      const { code, stderr } = await keyturn(folder, ['serve', '--json'], asNobody)
      t.equal(code, 1, stderr)
      t.match(stderr, message)
      t.match(stderr, /^keyturn: [^\n]+\n$/, 'one line')
      restore(folder)
      const server = await startServer(t, folder, asNobody)
      t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)
    },
  )
}

t.test(
  'a damaged next key never becomes active, and revoking it repairs the key ring (docs/security.md Q8)',
  async (t) => {
    const folder = await seededFolder(t)
    const settings = { ISSUER: 'http://localhost:3000' }
    const server = await startServer(t, folder, { settings })
    await wrongPrivateKey('next')(folder)
    const ring = () => readStore(folder, async (store) => (await store.ring.read())?.keys ?? [])
    const before = await ring()
    const kidOf = (state: string) => before.find((key) => key.state === state)?.kid ?? ''

    for (const args of [
      ['rotate', '--force'],
      ['revoke', kidOf('active')],
    ]) {
      const { code, stderr } = await keyturn(folder, ['keys', ...args])
      t.equal(code, 1)
      t.match(stderr, /(^|\n)keyturn: the private key and the public key \S+ do not belong together\n$/)
      t.same(await ring(), before, 'nothing has changed')
    }
    t.equal((await clientCredentials(server)).statusCode, 200, 'the active key signs as before')

    const { code, stderr } = await keyturn(folder, ['keys', 'revoke', kidOf('next')])
    t.equal(code, 0, stderr)
    t.equal((await keyturn(folder, ['keys', 'rotate', '--force'])).code, 0)
    const again = await startServer(t, folder, { settings })
    t.equal((await clientCredentials(again)).statusCode, 200)
  },
)
