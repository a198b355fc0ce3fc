/**
 * What long parameters cost. Some work grows with the square of a text's length, such as Unicode normalization of combining
 * marks, and one stranger with 64 KB could stop the event loop for everybody.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { pageRoutes } from '../../src/http/pages/index.ts'
import { protocolEndpoints } from '../../src/http/routes.ts'
import { isTooLong, type Pair } from '../../src/oauth/parameters.ts'
import { openBrowser } from '../support/browser/browser.ts'
import { authorizeUrl, seedUsers, signIn } from '../support/browser/sign-in.ts'
import { repositoryFiles } from '../support/docs/documents.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { FORM, goodRequests } from '../support/server/endpoints.ts'
import { ENGINE } from '../support/server/engine.ts'
import { clientKey } from '../support/server/jws.ts'
import { encodeForm } from '../support/server/requests.ts'
import { client } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
const key = clientKey('ES256')
await server.store.clients.insert(
  client({ id: 'signer', authMethod: 'private_key_jwt', jwks: { keys: [key.jwk] } }),
)
await server.poll()

const BODY_BYTES = 65_000

/** One unit of each text, as it is sent. */
const WORST: Readonly<Record<string, string>> = {
  'combining marks': '%CC%81%CC%96',
  'nested brackets': '[',
  'percent signs': '%25',
  spaces: '+',
}

/**
 * Whether a text is sent as this parameter to this page. The PostgreSQL run of the flow tests sends all texts; the run on SQLite sends one
 * of them, each to a quarter of the pages.
 */
const isSent = (text: number, parameter: number, page: number) =>
  ENGINE !== 'SQLite' || (text + parameter + page) % Object.keys(WORST).length === 0

/** The only parameters that may be longer than 8192 characters: no user types them. */
const ENCODED_BY_PROGRAMS: ReadonlyMap<string, number> = new Map([
  ['flow', 16_384],
  ['arrival', 16_384],
  ['enrolment', 16_384],
  ['credential', 16_384],
  ['request', 32_768],
  ['client_assertion', 32_768],
])

/** Every name that the sources read from a form, a query or a request object. */
const NAMES = namesIn(/^src\/(?:http|oauth)\/.*\.ts$/, /\.(?:get|all)\(\s*'([a-z_]+)'/g)
  .concat('an_unknown_name')
  .sort()

/** The names of all fields in which users type. */
const TYPED = namesIn(/^src\/views\/.*\.ts$/, /field\(\{\s*name: '([a-z_]+)'/g)

function namesIn(files: RegExp, pattern: RegExp): string[] {
  const sources = repositoryFiles().filter((path) => files.test(path))
  const names = sources.flatMap((path) => [...readFileSync(path, 'utf8').matchAll(pattern)])
  return [...new Set(names.map(([, name = '']) => name))]
}

const ROUTES: readonly { readonly method: 'GET' | 'POST'; readonly path: string }[] = [
  ...pageRoutes(server.deps),
  ...protocolEndpoints.map(({ path }) => ({ method: 'POST' as const, path })),
]

/** An encoded text that is about as long as the name of the parameter allows: all limits are powers of two. */
function longest(name: string, unit: string): string {
  const decoded = decodeURIComponent(unit.replaceAll('+', ' '))
  let count = 1
  while (!isTooLong([name, decoded.repeat(2 * count)])) count *= 2
  return unit.repeat(count)
}

/** The greatest length of a text that was normalized during the work. */
async function longestNormalized(work: () => Promise<unknown>): Promise<number> {
  const { normalize } = String.prototype
  let greatest = 0
  String.prototype.normalize = function counted(this: string, form?: string) {
    greatest = Math.max(greatest, this.length)
    return normalize.call(this, form)
  }
  try {
    await work()
  } finally {
    String.prototype.normalize = normalize
  }
  return greatest
}

t.test('the list of parameters is read from the sources', async (t) => {
  t.ok(NAMES.length > 45, NAMES.join(' '))
  for (const name of ['username', 'password', 'recovery_code', 'code', 'claims', 'resource', 'request'])
    t.ok(NAMES.includes(name), name)
})

t.test(
  'a parameter of 64 KB is refused at every endpoint and page before anything reads it (RFC 9110 §15.5.14; docs/security.md A16)',
  async (t) => {
    await writesNothing(t, server, async () => {
      const normalized = await longestNormalized(async () => {
        for (const [k, [kind, unit]] of Object.entries(WORST).entries()) {
          const text = unit.repeat(BODY_BYTES / unit.length)
          const decoded = decodeURIComponent(text)
          for (const [r, { method, path }] of ROUTES.entries()) {
            const statuses = new Set<number>()
            for (const [n, name] of NAMES.entries()) {
              if (!isSent(k, n, r)) continue
              const pair = `${name}=${text}`
              const answer = await server.inject(
                method === 'GET'
                  ? { url: `${path}?${pair}` }
                  : { method, url: path, headers: { 'content-type': FORM }, payload: pair },
              )
              // 64 KB of percent-encoded text is shorter when it is decoded, and not too long for a signed request.
              if (decoded.length > (ENCODED_BY_PROGRAMS.get(name) ?? 8192)) statuses.add(answer.statusCode)
            }
            t.same([...statuses], [413], `${method} ${path} with ${kind}`)
          }
        }
      })
      t.equal(normalized, 0, 'and no text was normalized')
    })
  },
)

t.test('what is too long is refused before it is decoded (docs/security.md A16)', async (t) => {
  // Each is malformed too, which only decoding would show.
  for (const payload of [
    `${'%'.repeat(9 * 128 + 1)}=1`,
    `username=${'%'.repeat(9 * 1024 + 1)}`,
    `username=${'\u0001'.repeat(1025)}`,
  ]) {
    const headers = { 'content-type': FORM }
    const answer = await server.inject({ method: 'POST', url: '/oauth2/token', headers, payload })
    t.same(
      [answer.statusCode, answer.json().error],
      [413, 'invalid_request'],
      JSON.stringify(payload.slice(0, 12)),
    )
  }
})

t.test('a text that a user types has at most 2,048 characters (docs/security.md A16)', async (t) => {
  t.same([...TYPED].sort(), [
    'code',
    'current_password',
    'name',
    'new_password',
    'new_password_repeat',
    'password',
    'recovery_code',
    'username',
  ])
  for (const name of TYPED) {
    const send = async (length: number, character = 'x') => {
      const payload = `${name}=${character.repeat(length)}`
      return server.inject({ method: 'POST', url: '/login', headers: { 'content-type': FORM }, payload })
    }
    t.equal((await send(2049)).statusCode, 413, name)
    // Longer than any password may be, so that the user gets the message about the length.
    for (const character of ['x', '%E2%82%AC'])
      t.not((await send(1024, character)).statusCode, 413, `${name}: 1,024 times ${character}`)
  }
})

t.test('a parameter with a long name is refused too', async (t) => {
  for (const unit of Object.values(WORST)) {
    const payload = `${unit.repeat(BODY_BYTES / unit.length)}=1`
    const headers = { 'content-type': FORM }
    const answer = await server.inject({ method: 'POST', url: '/oauth2/token', headers, payload })
    t.same([answer.statusCode, answer.json().error], [413, 'invalid_request'])
  }
})

t.test(
  'a parameter just within its length limit is cheap at every endpoint and page (docs/security.md A16)',
  async (t) => {
    const browser = openBrowser(server)
    await signIn(browser)
    const account = await browser.open('/account/password')
    const csrf = account.form('/account/password').fields.get('csrf') ?? ''
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    const stranger = openBrowser(server)
    const loginPage = await stranger.open(authorizeUrl())
    const login = Object.fromEntries(loginPage.form('/login').fields)
    const strangerCookie = [...stranger.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')

    interface Target {
      readonly label: string
      readonly method: 'GET' | 'POST'
      readonly path: string
      readonly headers: Record<string, string>
      readonly form: Readonly<Record<string, string>>
    }
    const typed = { username: 'alice', password: 'x', current_password: 'x', code: '1' }
    const targets: Target[] = [
      ...pageRoutes(server.deps).map(({ method, path }) => ({
        label: `${method} ${path}`,
        method,
        path,
        headers: { cookie: path.startsWith('/login') ? strangerCookie : cookie },
        form: path.startsWith('/login') ? { ...login, ...typed } : { csrf, ...typed },
      })),
    ]
    for (const { name, url, headers, form } of goodRequests(server, key))
      targets.push({
        label: name,
        method: 'POST',
        path: url,
        headers,
        form: (await form()) as Record<string, string>,
      })

    const send = (target: Target, pair: Pair) => {
      const { [pair[0]]: _replaced, ...others } = target.form
      const text = [encodeForm(others), `${pair[0]}=${pair[1]}`].filter(Boolean).join('&')
      const { method, path, headers } = target
      return server.inject(
        method === 'GET'
          ? { url: `${path}?${text}`, headers }
          : { method, url: path, headers: { 'content-type': FORM, ...headers }, payload: text },
      )
    }
    /** Of this thread: the hashing threads are limited by themselves. */
    const cost = async (target: Target, pair: Pair): Promise<number> => {
      const before = process.threadCpuUsage()
      await send(target, pair)
      const { user, system } = process.threadCpuUsage(before)
      return (user + system) / 1000
    }

    let reached = 0
    const costly: string[] = []
    for (const [k, unit] of Object.values(WORST).entries()) {
      for (const [n, name] of NAMES.entries()) {
        const pair: Pair = [name, longest(name, unit)]
        for (const [p, target] of targets.entries()) {
          if (!isSent(k, n, p)) continue
          let milliseconds = 0
          const normalized = await longestNormalized(async () => {
            milliseconds = await cost(target, pair)
          })
          if (normalized > 0) reached += 1
          if (normalized > 2048) t.fail(`${target.label}: ${name} is normalized at ${normalized}`)
          // Repeated, because a measurement includes the garbage collection of others. The quadratic fault cost 30 to 400 ms.
          for (let again = 0; milliseconds > 25 && again < 5; again += 1)
            milliseconds = Math.min(milliseconds, await cost(target, pair))
          if (milliseconds > 25) costly.push(`${target.label}: ${name} of '${unit}' costs ${milliseconds} ms`)
        }
      }
    }
    t.same(costly, [])
    t.ok(reached > 10, 'the requests reach the code that normalizes')
  },
)
