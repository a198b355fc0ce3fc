/** KEYTURN_ADMIN_PORT in a real process: what is where, how it is announced, and how it ends. */
import { createServer } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { keyturn, runProgram, startServer } from '../support/processes/process.ts'
import { freePort } from '../support/server/free-port.ts'
import { basic } from '../support/server/requests.ts'
import { until } from '../support/server/waiting.ts'

const ROLES = '/admin/v1/roles'

t.test('the administration is on its own port and on no other (docs/security.md W5)', async (t) => {
  const folder = emptyFolder(t as Test)
  const server = await startServer(t as Test, folder, { settings: { ADMIN_PORT: '0' } })
  const { admin_port: port } = JSON.parse(server.stdout())
  const admin = `http://127.0.0.1:${port}`
  for (const path of [ROLES, '/admin/v1/openapi.json'])
    t.equal((await server.inject({ url: path })).statusCode, 404, `${path} on the main port`)
  for (const path of [
    '/.well-known/jwks.json',
    '/metrics',
    '/health/live',
    '/.well-known/openid-configuration',
  ])
    t.equal((await fetch(admin + path)).status, 404, path)
  const refused = await fetch(admin + ROLES)
  t.equal(refused.status, 401)
  t.match(refused.headers.get('content-type'), /^application\/problem\+json/)
  t.equal((await fetch(`${admin}/admin/v1/openapi.json`)).status, 200)

  const robot = ['clients', 'create', '--name', 'robot', '--id', 'robot', '--grant', 'client_credentials']
  const { stdout } = await keyturn(folder, [...robot, '--scope', 'admin:read', '--json'], {
    settings: { PORT: String(server.port) },
  })
  const token = await server.inject({
    method: 'POST',
    url: '/oauth2/token',
    headers: {
      authorization: basic('robot', JSON.parse(stdout).client_secret),
      'content-type': 'application/x-www-form-urlencoded',
    },
    payload: 'grant_type=client_credentials',
  })
  const listed = await fetch(admin + ROLES, {
    headers: { authorization: `Bearer ${token.json().access_token}` },
  })
  t.same(await listed.json(), { items: [], next_cursor: null })
  const metrics = (await server.inject({ url: '/metrics' })).body
  t.match(
    metrics,
    'keyturn_http_request_duration_seconds_count{endpoint="/admin/v1/*",method="GET",status="2xx"}',
  )
})

t.test('the console is on that port too, with the pages to sign in to it', async (t) => {
  const server = await startServer(t as Test, emptyFolder(t as Test), { settings: { ADMIN_PORT: '0' } })
  const { admin_port: port } = JSON.parse(server.stdout())
  t.equal((await server.inject({ url: '/admin' })).statusCode, 404, 'not on the main port')
  const sent = await fetch(`http://127.0.0.1:${port}/admin`, { redirect: 'manual' })
  const login = sent.headers.get('location') ?? ''
  t.match(login, /^\/login\?flow=/)
  const cookie = sent.headers.getSetCookie().map((one) => one.split(';', 1)[0])
  const page = await fetch(`http://127.0.0.1:${port}${login}`, { headers: { cookie: cookie.join('; ') } })
  t.equal(page.status, 200)
  const [, style] = /<link rel="stylesheet" href="([^"]+)"/.exec(await page.text()) ?? []
  t.equal((await fetch(`http://127.0.0.1:${port}${style}`)).status, 200)
})

t.test('a server that stops closes both ports, and finishes with connections that are open', async (t) => {
  const server = await startServer(t as Test, emptyFolder(t as Test), { settings: { ADMIN_PORT: '0' } })
  const { admin_port: port } = JSON.parse(server.stdout())
  const idle = connect(port, '127.0.0.1')
  t.teardown(() => idle.destroy())
  await new Promise((resolve) => idle.once('connect', resolve))
  t.equal((await fetch(`http://127.0.0.1:${port}${ROLES}`)).status, 401, 'and its connection is kept alive')
  t.same(await server.stop(), { code: 0, signal: null })
  await t.rejects(fetch(`http://127.0.0.1:${port}${ROLES}`))
})

t.test('with KEYTURN_ADMIN=off the port is not opened', async (t) => {
  const settings = { ADMIN: 'off', ADMIN_PORT: String(await freePort()) }
  const server = await startServer(t as Test, emptyFolder(t as Test), { settings })
  t.notOk('admin_port' in JSON.parse(server.stdout()))
  await t.rejects(fetch(`http://127.0.0.1:${settings.ADMIN_PORT}${ROLES}`))
  t.equal((await server.inject({ url: ROLES })).statusCode, 404)
})

t.test('a person reads where the administration is; a port that is taken names its setting', async (t) => {
  const folder = emptyFolder(t as Test)
  const port = String(await freePort())
  const server = runProgram(folder, ['serve'], { settings: { ADMIN_PORT: port } })
  t.teardown(() => server.child.kill('SIGKILL'))
  await until(async () => server.stdout().includes('For a first token'))
  t.match(server.stdout(), `Administration is on 127.0.0.1:${port}/admin/v1`)
  server.child.kill('SIGTERM')
  await server.ended

  const other = createServer().listen(Number(port), '127.0.0.1')
  t.teardown(() => other.close())
  const second = await keyturn(folder, ['serve'], { settings: { ADMIN_PORT: port } })
  t.equal(second.code, 1)
  t.match(second.stderr, `:${port} is in use by another program: choose another KEYTURN_ADMIN_PORT`)
})
