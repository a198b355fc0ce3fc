/** An audit log that someone with the database alone has wiped, cut off or put back, and what an administrator then does. */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { commandIn } from '../support/processes/cli.ts'
import { copyOf, type Folder, readStore, seededFolder } from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'
import { clientCredentials } from '../support/server/requests.ts'

const sql = (folder: Folder, ...statements: string[]) => {
  const db = new Database(folder.database)
  for (const statement of statements) db.exec(statement)
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

const WIPE = [
  'DELETE FROM audit',
  `UPDATE audit_head SET seq = 0, hash = '', base_seq = 0, base_hash = '', mac = NULL`,
]

interface Verified {
  readonly intact: boolean
  readonly findings: readonly string[]
}

async function verify(folder: Folder): Promise<{ code: number | null } & Verified> {
  const { code, stdout, stderr } = await commandIn(folder, ['audit', 'verify', '--json'])
  if (stdout === '') throw new Error(stderr)
  return { code, ...(JSON.parse(stdout) as Verified) }
}

/** A server was started and stopped here, so that the log has rows and the record an anchor. */
const used = await seededFolder(t, { LOG_LEVEL: 'info' })
const first = await startServer(t, used)
await clientCredentials(first)
await first.stop()

const recorded = ({ record }: Folder) =>
  JSON.parse(readFileSync(record, 'utf8')) as { audit: { seq: number; accepted_at: number } }

t.test(
  'a wiped audit log is found by verify and by every start, until it is accepted (docs/security.md R4)',
  async (t) => {
    const folder = copyOf(t, used)
    t.ok(recorded(folder).audit.seq > 0, 'the end of the log is kept outside the database')
    t.match(await verify(folder), { code: 0, intact: true })
    sql(folder, ...WIPE)
    const found = await verify(folder)
    t.match(found, { code: 1, intact: false })
    t.match(found.findings.join('\n'), /the head was not written by Keyturn/)
    t.match(found.findings.join('\n'), /the log ends at row 0, before row \d+ in \S+store\.json/)

    for (let start = 1; start <= 2; start += 1) {
      const server = await startServer(t, folder)
      await clientCredentials(server)
      await server.stop()
      t.match(server.stderr(), /"audit":"audit\.broken"/, `start ${start}`)
      t.match(await verify(folder), { code: 1, intact: false })
    }

    t.match(await commandIn(folder, ['audit', 'accept']), { code: 2 })
    const accepted = await commandIn(folder, [
      'audit',
      'accept',
      '--reason',
      'an intruder, case 4711',
      '--json',
    ])
    t.equal(accepted.code, 0, accepted.stderr)
    t.match(JSON.parse(accepted.stdout), { left: [] })
    t.match(await verify(folder), { code: 0, intact: true })
    const rows = JSON.parse(
      (await commandIn(folder, ['audit', '--event', 'audit.accepted', '--json'])).stdout,
    )
    t.match(rows, [{ actor: /^operator:/, fields: { reason: 'an intruder, case 4711', target: /^\d+:/ } }])
    const quiet = await startServer(t, folder)
    await quiet.stop()
    t.notMatch(quiet.stderr(), 'audit.broken')
    t.match(await commandIn(folder, ['audit', 'accept', '--reason', 'again']), {
      code: 1,
      stderr: /the audit log is intact: there is nothing to accept/,
    })
  },
)

t.test(
  'an older copy of the whole database is detected, although it is consistent in itself (docs/security.md R4)',
  async (t) => {
    const folder = copyOf(t, used)
    const copy = join(folder.path, 'copy.db')
    copyFileSync(folder.database, copy)
    const server = await startServer(t, folder)
    await clientCredentials(server)
    await server.stop()
    for (const end of ['-wal', '-shm']) rmSync(folder.database + end, { force: true })
    cpSync(copy, folder.database)
    t.match((await verify(folder)).findings, [/^the log ends at row \d+, before row \d+ in \S+store\.json/])
    const again = await startServer(t, folder)
    await again.stop()
    t.match(again.stderr(), /"reason":"rolled back"/)
    const { code, findings } = await verify(folder)
    t.equal(code, 1)
    t.match(findings.join(), /was not written by Keyturn/, 'the server did not sign it')
    t.equal((await commandIn(folder, ['audit', 'accept', '--reason', 'a copy was put back'])).code, 0)
    t.match(await verify(folder), { code: 0, intact: true })
  },
)

t.test(
  'a rotation of the master key does not make a wiped log look intact (docs/security.md R4)',
  async (t) => {
    for (const args of [[], ['--compromised']]) {
      const folder = copyOf(t, used)
      sql(folder, ...WIPE)
      const rotated = await keyturn(folder, ['master-key', 'rotate', ...args])
      t.equal(rotated.code, 0, rotated.stderr)
      t.match(rotated.stderr, /audit\.broken/)
      rmSync(folder.record)
      t.match(
        await verify(folder),
        { code: 1, findings: [/the head was not written by Keyturn/] },
        'even without the record',
      )
    }
  },
)

t.test(
  'a head with a MAC of an invalidated data key is distinguished from a forged one (docs/security.md R4)',
  async (t) => {
    const folder = copyOf(t, used)
    const before = await readStore(folder, (store) => store.auditRows.state())
    const killed = await keyturn(folder, ['master-key', 'rotate', '--compromised'], {
      failAt: { name: 'master-key:committed' },
    })
    t.equal(killed.signal, 'SIGKILL')
    t.match(await verify(folder), { code: 0, intact: true }, 'the commit of the rotation has signed the head')
    t.equal((await commandIn(folder, ['master-key', 'rotate'])).code, 0)

    const { mac, seq, hash } = before.head ?? { mac: '', seq: 0, hash: '' }
    sql(
      folder,
      `DELETE FROM audit WHERE seq > ${seq}`,
      `UPDATE audit_head SET seq = ${seq}, hash = '${hash}', mac = '${mac}'`,
    )
    const old = await verify(folder)
    t.equal(old.code, 1)
    t.match(old.findings.join('\n'), /has a MAC of data key 1, which was invalidated by master-key rotate/)
    sql(folder, `UPDATE audit_head SET mac = '${mac?.slice(0, -1)}${mac?.endsWith('A') ? 'E' : 'A'}'`)
    t.match((await verify(folder)).findings.join('\n'), /the head was not written by Keyturn/)
  },
)

t.test('a restore is an event, and the log goes on from there (docs/security.md R4)', async (t) => {
  const folder = copyOf(t, used)
  const backup = join(folder.path, 'backup.db')
  t.equal((await commandIn(folder, ['backup', backup])).code, 0)
  const server = await startServer(t, folder)
  await clientCredentials(server)
  await server.stop()
  const { seq } = recorded(folder).audit
  t.equal((await commandIn(folder, ['restore', backup, '--force'])).code, 0)
  t.match(await verify(folder), { code: 0, intact: true })
  const rows = JSON.parse((await commandIn(folder, ['audit', '--event', 'store.restored', '--json'])).stdout)
  t.match(rows, [{ fields: { target: 'backup.db', reason: new RegExp(`had reached ${seq}:`) } }])
  const again = await startServer(t, folder)
  await again.stop()
  t.notMatch(again.stderr(), 'audit.broken')
})

t.test('what a server that was killed while writing the record leaves behind is cleaned up', async (t) => {
  const folder = copyOf(t, used)
  mkdirSync(`${folder.record}.new-killed`)
  const server = await startServer(t, folder)
  await server.stop()
  t.same(readdirSync(dirname(folder.record)).sort(), ['master.key', 'store.json'])
})

t.test('a record that cannot be written is reported once, and stays as it was', async (t) => {
  const folder = copyOf(t, used)
  const before = readFileSync(folder.record, 'utf8')
  // A folder that gives no place for a draft: the name is as long as a name may be.
  const record = join(folder.path, 'keys', 'r'.repeat(255))
  cpSync(folder.record, record)
  const server = await startServer(t, folder, { settings: { STORE_RECORD_FILE: record } })
  for (let i = 0; i < 3; i += 1) await clientCredentials(server)
  await server.stop()
  t.equal(server.stderr().match(/the end of the audit log cannot be kept outside the database/g)?.length, 1)
  t.equal(readFileSync(record, 'utf8'), before)
  t.match(await verify(folder), { code: 0, intact: true })
})
