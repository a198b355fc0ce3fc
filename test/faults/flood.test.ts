import { rmSync } from 'node:fs'
import t from 'tap'
import { seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { startServer } from '../support/processes/process.ts'
import { clientCredentials, login, refresh } from '../support/server/requests.ts'
import { openConnection } from '../support/server/tcp-connection.ts'
import { until } from '../support/server/waiting.ts'

t.test(
  'a flood of logins is refused early, and machine clients and the JWKS keep working (docs/security.md Q14)',
  async (t) => {
    const server = await startServer(t, await seededFolder(t))
    let going = true
    const flood = Promise.all(Array.from({ length: 64 }, () => login(server))).finally(() => {
      going = false
    })
    let served = 0
    while (going) {
      const [token, jwks] = await Promise.all([
        clientCredentials(server),
        server.inject({ url: '/.well-known/jwks.json' }),
      ])
      if (token.statusCode !== 200 || jwks.statusCode !== 200) t.fail(token.body)
      served += 1
    }
    t.ok(served > 0, `${served} tokens meanwhile`)

    const answers = await flood
    const by = (status: number) => answers.filter(({ statusCode }) => statusCode === status)
    t.ok(by(200).length > 0, `${by(200).length} were admitted`)
    t.ok(by(503).length > 0, `${by(503).length} were not`)
    t.equal(by(200).length + by(503).length, 64)
    for (const answer of by(503)) {
      t.equal(answer.json().error, 'temporarily_unavailable')
      t.ok(Number(answer.headers['retry-after']) >= 1)
    }
    t.equal((await login(server)).statusCode, 200, 'and afterwards logins work')
  },
)

t.test(
  'a flood of JWKS requests is served without the store, even when it is down (RFC 9110 §13; docs/security.md Q15)',
  async (t) => {
    const folder = await seededFolder(t)
    const server = await startServer(t, folder)
    const url = '/.well-known/jwks.json'
    const first = await server.inject({ url })
    const etag = String(first.headers.etag)
    for (const end of ['', '-wal', '-shm']) rmSync(folder.database + end)
    await until(async () => (await server.inject({ url: '/health/ready' })).statusCode !== 200)

    const kinds = [
      { method: 'GET', headers: {}, expected: 200 },
      { method: 'HEAD', headers: {}, expected: 200 },
      { method: 'GET', headers: { 'if-none-match': etag }, expected: 304 },
      { method: 'GET', headers: { range: 'bytes=0-3' }, expected: 200 },
    ] as const
    const answers = await Promise.all(
      Array.from({ length: 400 }, async (_, i) => {
        const { method, headers, expected } = kinds[i % kinds.length] ?? kinds[0]
        const answer = await server.inject({ url, method, headers })
        return { expected, method, answer }
      }),
    )
    const wrong = answers.filter(
      ({ answer, expected, method }) =>
        answer.statusCode !== expected ||
        answer.headers.etag !== etag ||
        answer.headers['cache-control'] === undefined ||
        answer.body !== (expected === 200 && method === 'GET' ? first.body : ''),
    )
    t.same(wrong, [], 'four hundred correct responses')
  },
)

t.test(
  'a server out of file descriptors waits for free ones and loses nothing (RFC 9110 §15.5.9; docs/security.md Q12, Q19)',
  async (t) => {
    const folder = await seededFolder(t)
    const [first = ''] = await withOpened(folder, (opened) => signIn(opened))
    const few = ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh']
    const server = await startServer(t, folder, { wrap: few })
    const { refresh_token: token } = (await refresh(server, first)).json()
    const crowd = await Promise.all(Array.from({ length: 200 }, () => openConnection(t, server.port)))
    for (const connection of crowd) connection.send('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => crowd.some((connection) => connection.received().includes('"live"')))
    t.pass('some are served meanwhile')
    for (const connection of crowd) connection.reset()
    t.equal((await refresh(server, token)).statusCode, 200)
    t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)
    t.same(await server.stop(), { code: 0, signal: null })
  },
)
