import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { BUSY_TIMEOUT_MS } from '../../src/store/sqlite/sqlite.ts'
import { type Folder, seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { withoutStrace } from '../support/processes/fault-injection.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { basic, clientCredentials, post, refresh } from '../support/server/requests.ts'

if (withoutStrace) t.comment(`WARNING: ${withoutStrace}`)

async function serving(t: Test): Promise<{ folder: Folder; server: ServerProcess; token: string }> {
  const folder = await seededFolder(t)
  const [first = ''] = await withOpened(folder, (opened) => signIn(opened))
  const server = await startServer(t, folder)
  const token = (await refresh(server, first)).json().refresh_token
  return { folder, server, token }
}

const readiness = async (server: ServerProcess) => (await server.inject({ url: '/health/ready' })).statusCode

async function until(server: ServerProcess, status: number): Promise<void> {
  while ((await readiness(server)) !== status) await wait(20)
}

function unavailable(t: Test, answer: LightMyRequestResponse): void {
  t.equal(answer.statusCode, 503, answer.body)
  t.equal(answer.json().error, 'temporarily_unavailable')
  t.ok(Number(answer.headers['retry-after']) >= 1)
}

/** What needs no store works, whatever happens to it. */
async function stillServed(t: Test, server: ServerProcess): Promise<void> {
  t.equal((await server.inject({ url: '/.well-known/jwks.json' })).statusCode, 200)
  t.equal((await server.inject({ url: '/.well-known/openid-configuration' })).statusCode, 200)
  t.equal((await server.inject({ url: '/health/live' })).statusCode, 200)
}

t.test('a short database lock only delays the response (docs/security.md Q5)', async (t) => {
  const { folder, server, token } = await serving(t as Test)
  const other = new Database(folder.database)
  t.teardown(() => other.close())
  other.exec('BEGIN EXCLUSIVE')
  const waiting = refresh(server, token)
  // A small part of the time that a batch waits.
  await wait(BUSY_TIMEOUT_MS / 30)
  other.exec('ROLLBACK')
  t.equal((await waiting).statusCode, 200)
})

t.test(
  'a lasting database lock causes 503 after the timeout and blocks nothing else (docs/security.md Q5)',
  async (t) => {
    const { folder, server, token } = await serving(t as Test)
    const machine = (await clientCredentials(server)).json().access_token
    const other = new Database(folder.database)
    t.teardown(() => other.close())
    other.exec('BEGIN EXCLUSIVE')

    const refused = refresh(server, token)
    for (let i = 0; i < 10; i += 1) {
      const jwks = await server.inject({ url: '/.well-known/jwks.json' })
      const introspection = await post(
        server,
        '/oauth2/introspect',
        { token: machine },
        { authorization: basic('machine') },
      )
      if (jwks.statusCode !== 200 || !introspection.json().active) t.fail(introspection.body)
    }
    unavailable(t as Test, await refused)

    other.exec('ROLLBACK')
    await until(server, 200)
    t.equal((await refresh(server, token)).statusCode, 200, 'the refresh token was not consumed')
  },
)

t.test(
  'a long-running reader blocks nothing, and the write-ahead log shrinks once it ends (docs/security.md Q5)',
  async (t) => {
    const { folder, server, token } = await serving(t as Test)
    const other = new Database(folder.database)
    t.teardown(() => other.close())
    other.exec('BEGIN; SELECT count(*) FROM client_sessions')
    let current = token
    for (let i = 0; i < 20; i += 1) {
      const answer = await refresh(server, current)
      if (answer.statusCode !== 200) throw new Error(answer.body)
      current = answer.json().refresh_token
    }
    other.exec('COMMIT')
    const [{ busy }] = other.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }]
    t.equal(busy, 0)
    t.equal((await refresh(server, current)).statusCode, 200)
  },
)

const losses: [string, (folder: Folder) => void][] = [
  [
    'deleted',
    ({ database }) => {
      for (const end of ['', '-wal', '-shm']) rmSync(database + end)
    },
  ],
  [
    'replaced by another',
    ({ database }) => {
      writeFileSync(`${database}.backup`, readFileSync(database))
      renameSync(`${database}.backup`, database)
    },
  ],
  ['separated from its write-ahead log', ({ database }) => rmSync(`${database}-wal`)],
]

for (const [what, removeFile] of losses) {
  t.test(
    `a database that is ${what} while the server runs stops acknowledging writes (docs/security.md Q4)`,
    async (t) => {
      const { folder, server, token } = await serving(t as Test)
      removeFile(folder)
      unavailable(t as Test, await refresh(server, token))
      await until(server, 503)
      await stillServed(t as Test, server)
      t.match(server.stderr(), /was deleted or replaced while it was in use/)
      t.equal(existsSync(folder.database), what !== 'deleted', 'it is not replaced by an empty one')
      t.same(await server.stop(), { code: 0, signal: null })
    },
  )
}

t.test(
  'a page damaged while the server runs is not used in a response, and the server is unready and cannot restart (docs/security.md Q4)',
  async (t) => {
    const { folder, server, token } = await serving(t as Test)
    const other = new Database(folder.database)
    other.pragma('wal_checkpoint(TRUNCATE)')
    const page = other
      .prepare(`SELECT rootpage FROM sqlite_master WHERE name = 'client_sessions'`)
      .pluck()
      .get()
    const bytes = readFileSync(folder.database)
    bytes.fill(0xa5, (Number(page) - 1) * 4096, Number(page) * 4096)
    writeFileSync(folder.database, bytes)
    // So that the server cannot respond from memory.
    other.prepare(`UPDATE revisions SET value = value + 1 WHERE name = 'registry'`).run()
    other.close()

    unavailable(t as Test, await refresh(server, token))
    t.equal(await readiness(server), 503)
    t.equal((await clientCredentials(server)).statusCode, 200, 'what needs no damaged page works')
    t.equal(await readiness(server), 503, 'serving does not repair the page')
    await stillServed(t as Test, server)
    await server.kill()
    const { code, stderr } = await keyturn(folder, ['serve'])
    t.equal(code, 1)
    t.match(stderr, /^keyturn: the database \S+ cannot be opened: .*malformed[^\n]*\n$/)
  },
)

/** Makes system calls of the running server fail until the returned function is called. */
async function inject(t: Test, server: ServerProcess, fault: string): Promise<() => Promise<void>> {
  const args = ['-f', '-p', String(server.pid), '-o', '/dev/null', '-e', `inject=${fault}`]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => strace.kill())
  const ended = once(strace, 'exit')
  let straceOutput = ''
  strace.stderr.on('data', (text) => {
    straceOutput += text
  })
  while (!/attached/.test(straceOutput)) await wait(10)
  await wait(100)
  return async () => {
    strace.kill('SIGINT')
    await ended
  }
}

for (const fault of ['fsync,fdatasync:error=EIO', 'pwrite64:error=EROFS']) {
  t.test(
    `writes failing with ${fault} are not acknowledged, and the server recovers (docs/security.md Q4)`,
    {
      skip: withoutStrace,
    },
    async (t) => {
      const { server, token } = await serving(t as Test)
      const restore = await inject(t as Test, server, fault)
      unavailable(t as Test, await refresh(server, token))
      t.equal(await readiness(server), 503)
      await stillServed(t as Test, server)
      await restore()
      await until(server, 200)
      t.equal((await refresh(server, token)).statusCode, 200, 'the refresh token was not consumed')
    },
  )
}

t.test(
  'reads failing with EIO make the node unready (docs/security.md Q4)',
  { skip: withoutStrace },
  async (t) => {
    const { folder, server, token } = await serving(t as Test)
    const other = new Database(folder.database)
    t.teardown(() => other.close())
    const restore = await inject(t as Test, server, 'pread64:error=EIO')
    // So that the server cannot respond from memory.
    other.prepare(`UPDATE revisions SET value = value + 1 WHERE name = 'registry'`).run()
    await until(server, 503)
    unavailable(t as Test, await refresh(server, token))
    await stillServed(t as Test, server)
    await restore()
    // SQLite cannot tell the error from damage, so the node stays unready until an operator has checked.
    t.equal((await refresh(server, token)).statusCode, 200)
    t.equal(await readiness(server), 503)
    t.same(await server.stop(), { code: 0, signal: null })
    t.equal(await readiness(await startServer(t, folder)), 200)
  },
)
