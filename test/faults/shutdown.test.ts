import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type Folder, seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { type ServerProcess, startServer } from '../support/processes/process.ts'
import { chainOf, load } from '../support/processes/token-load.ts'
import { freePort } from '../support/server/free-port.ts'
import { basic, clientCredentials, encodeForm, post, refresh } from '../support/server/requests.ts'
import { type Connection, openConnection, postBytes } from '../support/server/tcp-connection.ts'
import { until } from '../support/server/waiting.ts'

const CLEAN = { code: 0, signal: null }

async function oneToken(folder: Folder): Promise<string> {
  const [token = ''] = await withOpened(folder, (opened) => signIn(opened))
  return token
}

const refused = (server: ServerProcess) =>
  server.inject({ url: '/health/live' }).then(
    () => false,
    () => true,
  )

const untilRefused = (server: ServerProcess) => until(() => refused(server))

/** A request whose rest is missing; resolves when the server has read its headers. */
async function unfinished(t: Test, server: ServerProcess, bytes: string): Promise<Connection> {
  const connection = await openConnection(t, server.port)
  connection.send(bytes.replace('\r\n', '\r\nexpect: 100-continue\r\n'))
  await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/)
  return connection
}

t.test(
  'a stopping server reports itself unready before it refuses requests (docs/security.md Q17)',
  async (t) => {
    // Many times what the requests below take.
    const folder = await seededFolder(t, { SHUTDOWN_DELAY: '4s' })
    const server = await startServer(t, folder)
    const ready = () => server.inject({ url: '/health/ready' })
    t.equal((await ready()).statusCode, 200)
    const ending = server.stop()
    await until(async () => (await ready()).statusCode !== 200)
    const answer = await ready()
    t.equal(answer.statusCode, 503)
    t.ok(answer.headers['retry-after'])
    t.equal((await server.inject({ url: '/health/live' })).statusCode, 200)
    t.equal((await clientCredentials(server)).statusCode, 200, 'requests that still arrive are served')
    t.same(await ending, CLEAN)
  },
)

t.test(
  'a request in flight completes, and its connection is then closed (docs/security.md Q17)',
  async (t) => {
    const folder = await seededFolder(t)
    const token = await oneToken(folder)
    const server = await startServer(t, folder)
    const body = encodeForm({ grant_type: 'refresh_token', refresh_token: token })
    const bytes = postBytes('/oauth2/token', body, [`authorization: ${basic('app')}`])
    const half = await unfinished(t as Test, server, bytes.slice(0, -10))
    const idle = await openConnection(t, server.port)
    idle.send('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
    await idle.until(/"live"/)

    const ending = server.stop()
    await untilRefused(server)
    await idle.closed
    half.send(bytes.slice(-10))
    const answer = await half.closed
    t.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    t.match(answer, /connection: close/i)
    t.same(await ending, CLEAN)

    const again = await startServer(t, folder)
    const successor = /"refresh_token":"([^"]+)"/.exec(answer)?.[1] ?? ''
    t.equal((await refresh(again, successor)).statusCode, 200, 'acknowledged refreshes are stored')
  },
)

t.test('a stop under load loses nothing that was acknowledged (docs/security.md Q17)', async (t) => {
  const folder = await seededFolder(t)
  const tokens = await withOpened(folder, (opened) => signIn(opened, 8))
  const server = await startServer(t, folder)
  const chains = tokens.map(chainOf)
  const loaded = load(server, chains)
  await until(() => chains.every(({ acknowledged }) => acknowledged > 4))
  t.same(await server.stop(), CLEAN)
  const { failures } = await loaded
  t.same(failures, [], 'no response other than 200')

  const again = await startServer(t, folder)
  for (const { token } of chains) t.equal((await refresh(again, token)).statusCode, 200)
})

t.test('an unused connection does not delay the stop (docs/security.md Q17)', async (t) => {
  const folder = await seededFolder(t)
  const server = await startServer(t, folder)
  await openConnection(t, server.port)
  // Accepted after the other one.
  await severalTokens(server)
  // Otherwise it would end with 1 at the timeout.
  t.same(await server.stop(), CLEAN)
})

t.test('a second signal ends the process at once (docs/security.md Q17)', async (t) => {
  const folder = await seededFolder(t)
  const server = await startServer(t, folder)
  await unfinished(
    t as Test,
    server,
    'POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc',
  )
  const ending = server.stop()
  await untilRefused(server)
  server.child.kill('SIGINT')
  t.same(await ending, { code: 1, signal: null })
})

for (const LOG_PRETTY of ['off', 'on']) {
  t.test(
    `a log that is not read blocks neither requests nor the stop (${LOG_PRETTY}; docs/security.md Q19)`,
    async (t) => {
      const folder = await seededFolder(t, { LOG_LEVEL: 'debug', LOG_PRETTY })
      const server = await startServer(t, folder, { log: 'unread' })
      // Each request logs more than two hundred bytes; a pipe holds 64 KiB.
      for (let i = 0; i < 16; i += 1) {
        const answers = await Promise.all(Array.from({ length: 50 }, () => post(server, '/oauth2/token', {})))
        if (answers.some(({ statusCode }) => statusCode !== 400)) t.fail('a request was not answered')
      }
      t.equal((await clientCredentials(server)).statusCode, 200)
      t.same(await server.stop(), CLEAN)
    },
  )
}

t.test(
  'a log on a full disk, or with a closed reader, loses lines and nothing else (docs/security.md Q3, Q19)',
  async (t) => {
    const folder = await seededFolder(t)
    const full = await startServer(t, folder, { log: openSync('/dev/full', 'w') })
    await severalTokens(full)
    t.same(await full.stop(), CLEAN)

    const deaf = await startServer(t, folder)
    deaf.child.stderr?.destroy()
    await severalTokens(deaf)
    t.same(await deaf.stop(), CLEAN)
  },
)

async function severalTokens(server: ServerProcess): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    const { statusCode, body } = await clientCredentials(server)
    if (statusCode !== 200) throw new Error(body)
  }
}

t.test('SIGTERM to npm start stops the server, although npm does not forward it', async (t) => {
  const folder = await seededFolder(t)
  const port = await freePort()
  const npm = spawn('npm', ['start'], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: {
      PATH: process.env.PATH,
      HOME: folder.path,
      KEYTURN_PORT: String(port),
      KEYTURN_DATABASE_URL: `sqlite:${folder.database}`,
      KEYTURN_MASTER_KEY_FILE: folder.masterKey,
      // Not in the checkout, where the record of another test would be that of another store.
      KEYTURN_STORE_RECORD_FILE: folder.record,
    },
    stdio: 'ignore',
  })
  const live = () =>
    fetch(`http://127.0.0.1:${port}/health/live`).then(
      ({ ok }) => ok,
      () => false,
    )
  await until(live)
  npm.kill('SIGTERM')
  await until(async () => !(await live()))
  t.pass('the server has stopped')
})
