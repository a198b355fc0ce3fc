/** `login`, `logout`, and the tokens that remote commands use, with a real server and real tokens. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { ADMIN_SCOPES } from '../../src/admin/built-ins.ts'
import { type StoredSession, sessionFile } from '../../src/cli/remote/session-file.ts'
import { type Browser, openBrowser } from '../support/browser/browser.ts'
import { completePages, type SignInOptions } from '../support/browser/sign-in.ts'
import { type Cli, type RunOptions, startedCli } from '../support/processes/cli.ts'
import { freePort } from '../support/server/free-port.ts'
import { post } from '../support/server/requests.ts'
import { PASSWORD } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { serverFetch } from '../support/server/server-fetch.ts'

const SERVER = 'http://localhost:3000'
const ALL = Object.keys(ADMIN_SCOPES)
const NOT_ALLOWED = `no role of the user, or no scope of the client, allows administering ${SERVER}`
const LIST = ['roles', 'list', '--server', SERVER]

interface World {
  readonly cli: Cli
  readonly server: TestServer
  readonly browser: Browser
  /** The paths that commands have requested. */
  readonly requests: string[]
  readonly run: (args: readonly string[], options?: RunOptions) => ReturnType<Cli['run']>
  /** Runs `login` and what a person does in the browser meanwhile; `page` is what the browser shows in the end. */
  readonly login: (how?: Login) => Promise<Awaited<ReturnType<Cli['run']>> & { readonly page: Response }>
  readonly session: () => StoredSession
  readonly path: string
}

interface Login extends SignInOptions {
  readonly args?: readonly string[]
  /** Before the browser follows the redirect to the command. */
  readonly arrive?: (url: URL) => Promise<unknown>
}

/** A server with an administrator `root` and a user `bob` who is none. */
async function world(t: Test): Promise<World> {
  const cli = await startedCli(t)
  const masterKey = readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim()
  const settings = { ISSUER: SERVER }
  const server = await testServer({
    database: cli.database,
    clock: cli.clock,
    masterKey,
    settings,
    skipAuditCheck: 'local commands write to the same audit trail',
  })
  t.teardown(() => server.close())
  const create = (name: string, ...roles: string[]) =>
    cli.json(['users', 'create', name, '--password-stdin', ...roles], { input: PASSWORD })
  await create('root', '--role', 'keyturn-admin')
  await create('bob')
  await server.poll()

  const env = { XDG_CONFIG_HOME: join(cli.dir, 'config') }
  const requests: string[] = []
  const answer = serverFetch(server)
  const counting: typeof fetch = (url, init) => {
    requests.push(new URL(String(url)).pathname)
    return answer(url, init)
  }
  const run: World['run'] = (args, options) => cli.run(args, { env, fetch: counting, ...options })
  const browser = openBrowser(server)
  const file = sessionFile(env, SERVER)
  return {
    cli,
    server,
    browser,
    requests,
    run,
    path: file.path,
    session: () => file.read(),
    async login({ args = [], arrive, ...options } = {}) {
      let page: Promise<Response> | undefined
      const outcome = await run(['login', SERVER, ...args], {
        openBrowser(url) {
          page = (async () => {
            const last = await completePages(browser, await browser.open(url), {
              username: 'root',
              ...options,
            })
            const target = new URL(last.away?.url ?? 'about:blank')
            await arrive?.(target)
            return fetch(target)
          })()
        },
      })
      return { ...outcome, page: (await page) as Response }
    },
  }
}

t.test(
  'a person signs in with a browser, and then administers the server with the access token (RFC 8252 §7.3; docs/security.md R7)',
  async (t) => {
    const { login, run, path, session, server } = await world(t)
    const { code, out, err, page } = await login()
    t.equal(code, 0, err)
    t.match(
      err,
      /Sign in at http:\/\/localhost:3000 in a browser on this machine:\n\n {2}http:\/\/localhost:3000\/oauth2\/authorize\?/,
    )
    t.match(
      out,
      new RegExp(
        `^signed in\nserver +${SERVER}\nuser +u_\\S+\nusername +root\nclient_id +keyturn-cli\nscopes +${ALL.join(' ')}\n$`,
      ),
    )
    t.equal(page.status, 200)
    t.match(await page.text(), /<h1>Signed in<\/h1>\n<p>You can close this window/)
    t.match(page.headers.get('content-security-policy'), "default-src 'none'")
    t.equal(page.headers.get('cache-control'), 'no-store')

    t.equal(statSync(path).mode & 0o777, 0o600)
    t.equal(statSync(dirname(path)).mode & 0o777, 0o700)
    t.match(session(), { issuer: SERVER, client_id: 'keyturn-cli', refresh_token: String })
    t.notMatch(out + err, session().access_token)

    const role = ['roles', 'create', 'clerk', '--scope', 'orders:read', '--allow-unowned']
    const created = await run([...role, '--server', SERVER, '--json'])
    t.match(created.json(), { name: 'clerk' })
    t.match(created.err, /^note: no API has the scope orders:read/)
    t.match(await run(LIST), { code: 0, out: /^NAME[^\n]+\nclerk/ })
    const root = await server.store.users.findByUsername('root')
    t.match(server.logger.audits('role.changed'), [{ actor: `user:${root?.id}`, target: 'clerk' }])
  },
)

t.test('--json prints one document, and the address on standard error', async (t) => {
  const { login } = await world(t)
  const outcome = await login({ args: ['--json'] })
  t.match(outcome.json(), {
    server: SERVER,
    user: /^u_/,
    username: 'root',
    client_id: 'keyturn-cli',
    scopes: ALL,
  })
  t.match(outcome.err, '/oauth2/authorize?')
})

t.test('an access token is refreshed when it ends, and once for several commands at a time', async (t) => {
  const { login, run, session, cli, requests } = await world(t)
  await login()
  const first = session()
  cli.clock.tick(560)
  requests.length = 0
  t.equal((await run(LIST)).code, 0)
  t.same(requests, ['/admin/v1/roles'], 'it is good for another 40 seconds')
  cli.clock.tick(11)
  requests.length = 0
  const outcomes = await Promise.all(Array.from({ length: 5 }, () => run(LIST, { isRunning: () => true })))
  t.same(
    outcomes.map(({ code }) => code),
    [0, 0, 0, 0, 0],
  )
  t.equal(requests.filter((path) => path === '/oauth2/token').length, 1)
  t.not(session().access_token, first.access_token)
  t.not(session().refresh_token, first.refresh_token)
})

t.test('the lock of a command that was killed does not stop the next one', async (t) => {
  const { login, run, cli, path } = await world(t)
  await login()
  cli.clock.tick(601)
  writeFileSync(`${path}.lock`, '99999')
  t.equal((await run(LIST)).code, 0)
  t.notOk(existsSync(`${path}.lock`))
})

t.test('a session that has ended, or was revoked, is reported as such', async (t) => {
  for (const end of ['expired', 'revoked'] as const) {
    const { login, run, cli, server, path } = await world(t)
    await login()
    if (end === 'expired') cli.clock.tick(31 * 86_400)
    else await cli.json(['sessions', 'revoke', '--user', 'root'])
    await server.poll()
    const ended = `keyturn: your session at ${SERVER} has ended: run npx keyturn login ${SERVER}\n`
    t.match(await run(LIST), { code: 1, out: '', err: ended }, end)
    t.notOk(existsSync(path))
    const none = `keyturn: you are not signed in at ${SERVER}: run npx keyturn login ${SERVER}\n`
    t.match(await run(LIST), { code: 1, err: none }, end)
    t.match((await run([...LIST, '--json'])).json(), { error: /not signed in/ })
  }
})

t.test('an access token of a revoked key is replaced, and the command goes on', async (t) => {
  const { login, run, cli, server, session } = await world(t)
  await login()
  const { access_token: before } = session()
  const ring = await cli.json<{ kid: string; state: string }[]>(['keys', 'list'])
  await cli.json(['keys', 'revoke', ring.find(({ state }) => state === 'active')?.kid ?? ''])
  await server.poll()
  t.equal((await run(LIST)).code, 0)
  t.not(session().access_token, before)
})

t.test('a server that accepts no access token is asked twice, and not for ever', async (t) => {
  const { login, run, server } = await world(t)
  await login()
  let refused = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (!String(url).includes('/admin/')) return serverFetch(server)(url, init)
    refused += 1
    return Response.json({ type: 'urn:keyturn:problem:unauthorized' }, { status: 401 })
  }
  const hint = `${SERVER} does not accept the access token: run npx keyturn login ${SERVER}`
  t.match(await run(LIST, { fetch }), { code: 1, err: `keyturn: ${hint}\n` })
  t.equal(refused, 2)
})

t.test('an administrator whose role is taken away meanwhile is told which scope is missing', async (t) => {
  const { login, run, cli, server } = await world(t)
  await login()
  await cli.json(['users', 'create', 'second', '--password-stdin', '--role', 'keyturn-admin'], {
    input: PASSWORD,
  })
  await cli.json(['users', 'remove-role', 'root', 'keyturn-admin'])
  await server.poll()
  t.match(await run(LIST), { code: 1, err: `keyturn: ${NOT_ALLOWED}\n` })

  await cli.json(['roles', 'create', 'keeper', '--scope', 'admin:keys'])
  await cli.json(['users', 'add-role', 'root', 'keeper'])
  await server.poll()
  const less = `you may not do this at ${SERVER}: the access token does not have the scope admin:read`
  t.match(await run(LIST), { code: 1, err: `keyturn: ${less}\n` })
})

t.test('a person without a role of the administration is refused, and no session is left', async (t) => {
  const { login, server, path } = await world(t)
  const { code, err, page } = await login({ username: 'bob' })
  t.equal(code, 1)
  t.equal(err.split('\n').at(-2), `keyturn: ${NOT_ALLOWED}`)
  t.equal(page.status, 200)
  t.notOk(existsSync(path))
  t.same(server.logger.audits('token.revoked').length, 1, 'it is revoked at the server too')
})

t.test('a person who denies the request ends the command', async (t) => {
  const { login, path } = await world(t)
  const { code, err, page } = await login({ consent: 'deny' })
  t.equal(code, 1)
  t.match(err, new RegExp(`keyturn: ${SERVER} refused: .*denied`))
  t.equal(page.status, 400)
  t.match(await page.text(), '<h1>Not signed in</h1>')
  t.notOk(existsSync(path))
})

t.test(
  'other pages cannot end a sign-in or begin another one (RFC 9700 §4.7, RFC 9207 §2.4; docs/security.md R7)',
  async (t) => {
    const { login } = await world(t)
    const strangers = async (url: URL) => {
      const other = new URL(url)
      other.searchParams.set('state', 'another')
      t.equal((await fetch(other)).status, 400)
      other.searchParams.delete('state')
      t.equal((await fetch(other)).status, 400)
      t.equal((await fetch(url, { method: 'POST' })).status, 404)
      t.equal((await fetch(new URL('/', url))).status, 404)
    }
    t.equal((await login({ arrive: strangers })).code, 0, 'the right response still arrives')
    const mixedUp = async (url: URL) => url.searchParams.set('iss', 'https://attacker.example')
    const { code, err, page } = await login({ arrive: mixedUp })
    t.equal(code, 1)
    t.match(err, /unexpected "iss"/)
    t.equal(page.status, 400)
  },
)

t.test('a sign-in that nobody finishes ends', async (t) => {
  const { run } = await world(t)
  const { code, err } = await run(['login', SERVER, '--timeout', '1s'])
  t.equal(code, 1)
  t.match(err, /\nkeyturn: no one signed in within 1s\n$/)
})

t.test('a second sign-in replaces the first one, which is revoked', async (t) => {
  const { login, session, server } = await world(t)
  await login()
  const { refresh_token: first = '' } = session()
  await login()
  t.not(session().refresh_token, first)
  const form = { grant_type: 'refresh_token', client_id: 'keyturn-cli', refresh_token: first }
  t.match((await post(server, '/oauth2/token', form)).json(), { error: 'invalid_grant' })
})

t.test('logout revokes the session at the server and deletes it here (RFC 7009 §2.1)', async (t) => {
  const { login, run, session, server, path } = await world(t)
  await login()
  const { refresh_token: token = '' } = session()
  t.match(await run(['logout', SERVER]), { code: 0, out: `signed out of ${SERVER}\n` })
  t.notOk(existsSync(path))
  const form = { grant_type: 'refresh_token', client_id: 'keyturn-cli', refresh_token: token }
  t.match((await post(server, '/oauth2/token', form)).json(), { error: 'invalid_grant' })
  t.match((await run(['logout', '--server', SERVER, '--json'])).json(), { server: SERVER, ended: false })
  t.equal((await run(['logout'])).code, 2)

  await login()
  const offline = () => Promise.reject(new TypeError('fetch failed'))
  t.match(await run(['logout', SERVER], { fetch: offline }), {
    code: 1,
    err: `keyturn: ${SERVER} does not answer\n`,
  })
  t.notOk(existsSync(path), 'it is deleted here in any case')
})

t.test('a program signs in as a client with a secret in a file (RFC 6749 §4.4)', async (t) => {
  const { cli, run, server, path, session, requests } = await world(t)
  const scope = 'admin:read admin:clients'
  const create = ['clients', 'create', '--id', 'deploy', '--name', 'Deploy', '--grant', 'client_credentials']
  const { client_secret: secret } = await cli.json<{ client_secret: string }>([...create, '--scope', scope])
  await server.poll()
  const file = join(cli.dir, 'deploy.secret')
  writeFileSync(file, `${secret}\n`, { mode: 0o600 })
  const login = () =>
    run(['login', SERVER, '--client-id', 'deploy', '--client-secret-file', 'deploy.secret', '--json'])
  t.match((await login()).json(), {
    server: SERVER,
    user: null,
    client_id: 'deploy',
    scopes: scope.split(' '),
  })
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(session(), { client_id: 'deploy', client_secret_file: file, refresh_token: undefined })
  t.notMatch(readFileSync(path, 'utf8'), secret, 'the secret is only in its file')
  t.equal((await run(LIST)).code, 0)
  cli.clock.tick(601)
  requests.length = 0
  t.equal((await run(LIST)).code, 0)
  t.ok(requests.includes('/oauth2/token'))
  t.match(server.logger.audits('token.issued').at(-1), { client_id: 'deploy' })

  chmodSync(file, 0o644)
  t.match(await login(), { code: 1, err: `keyturn: ${file} can be read by others: chmod 600 ${file}\n` })
  chmodSync(file, 0o600)
  writeFileSync(file, 'wrong')
  t.match(await login(), { code: 1, err: /does not accept the client id and the secret\n$/ })
  writeFileSync(file, '')
  t.match(await login(), { code: 1, err: `keyturn: ${file} is empty\n` })
  t.equal((await run(LIST)).code, 0, 'a failed sign-in leaves the session as it was')
  t.equal((await run(['login', SERVER, '--client-id', 'deploy'])).code, 2)
})

t.test('a wrong server is refused before anything is sent to it (docs/security.md R7)', async (t) => {
  const { cli } = await world(t)
  const metadata = (overrides: object) => async () =>
    Response.json({
      issuer: 'https://auth.example',
      authorization_endpoint: 'https://auth.example/oauth2/authorize',
      token_endpoint: 'https://auth.example/oauth2/token',
      ...overrides,
    })
  const cases: [string, typeof fetch, RegExp][] = [
    [
      'https://auth.example',
      metadata({ issuer: 'https://evil.example' }),
      /calls itself https:\/\/evil\.example/,
    ],
    [
      'https://auth.example',
      async () => new Response('hello'),
      /does not answer like an authorization server/,
    ],
    [
      'https://auth.example',
      async () => new Response(null, { status: 404 }),
      /does not answer like an author/,
    ],
    ['https://auth.example', () => Promise.reject(new TypeError('fetch failed')), /does not answer\n$/],
    ['https://auth.example', metadata({ authorization_endpoint: 'file:///etc/passwd' }), /is not https/],
    ['https://auth.example', metadata({ authorization_endpoint: 'http://auth.example/' }), /is not https/],
  ]
  for (const [server, fetch, message] of cases) {
    const openBrowser = () => void t.fail('no browser is opened')
    const { code, err } = await cli.run(['login', server], { fetch, openBrowser })
    t.equal(code, 1, String(message))
    t.match(err, message)
    t.match(err, /^keyturn: [^\n]+\n$/)
  }
  const closed = `http://127.0.0.1:${await freePort()}`
  t.match(await cli.run(['login', closed]), {
    code: 1,
    err: `keyturn: ${closed} does not answer (ECONNREFUSED)\n`,
  })
  for (const args of [['login'], ['login', 'http://auth.example'], ['login', 'auth.example']])
    t.equal((await cli.run(args)).code, 2, args.join(' '))
})

t.test('the administration may be at another address than the issuer (KEYTURN_ADMIN_PORT)', async (t) => {
  const { login, run, server } = await world(t)
  t.equal((await login({ args: ['--api', 'http://127.0.0.1:9000'] })).code, 0)
  const urls: string[] = []
  const fetch: typeof globalThis.fetch = (url, init) => {
    urls.push(String(url))
    return serverFetch(server)(url, init)
  }
  t.equal((await run(LIST, { fetch })).code, 0)
  t.same(urls, ['http://127.0.0.1:9000/admin/v1/roles?limit=1000'])
  t.equal((await run(['login', SERVER, '--api', 'http://10.0.0.1'])).code, 2)
})
