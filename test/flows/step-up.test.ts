/**
 * Step-up authentication from end to end (RFC 9470): an API refuses a token, the client sends the user to the authorization endpoint
 * with what the challenge says, and the API accepts the new token.
 */
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { authenticateRequest, createVerifier, type Requirements } from '../../packages/verify/index.ts'
import { createAuthenticator } from '../support/browser/authenticator.ts'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError } from '../support/browser/page-assertions.ts'
import { byPasskey } from '../support/browser/passkey-forms.ts'
import { authorizeUrl, completePages, redeem, seedUsers, tokensOf } from '../support/browser/sign-in.ts'
import { basic, claimsOf, post } from '../support/server/requests.ts'
import { client, ORDERS } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const MFA = 'urn:keyturn:acr:mfa'
const PASSWORD = 'urn:keyturn:acr:password'
const AT_LEAST_MFA: Requirements = { scopes: ['orders:read'], acr: [MFA, 'phr'] }

async function start(t: Test) {
  const server = await testServer()
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await server.store.clients.insert(client({ id: 'orders', introspects: [ORDERS], grants: [] }))
  await server.deps.registry.sync()
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: ORDERS,
    clock: () => server.clock.now(),
    fetch: async (url) => {
      const { pathname } = new URL(String(url))
      const { body, statusCode } = await server.inject({ url: pathname })
      return new Response(body, { status: statusCode })
    },
  })
  t.teardown(() => verifier.close())

  /** The API: what is undefined, or the parameters that its challenge has for the authorization endpoint. */
  async function challengeOf(
    token: string,
    requirements: Requirements,
  ): Promise<Record<string, string> | undefined> {
    const request = new Request(ORDERS, { headers: { authorization: `Bearer ${token}` } })
    const { response } = await authenticateRequest(verifier, request, requirements)
    if (!response) return undefined
    const challenge = response.headers.get('www-authenticate') ?? ''
    t.equal(response.status, 401)
    t.match(challenge, /error="insufficient_user_authentication"/)
    return Object.fromEntries(
      [...challenge.matchAll(/(acr_values|max_age)="([^"]+)"/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    )
  }

  const tokenAt = async (page: Page): Promise<string> => {
    const code = page.away?.params.get('code')
    if (!code) throw new Error(`no code but ${page.status} ${page.path} ${page.away?.url}`)
    return tokensOf(await redeem(server, code)).access_token
  }
  const authorize = async (browser: Browser, parameters: Record<string, string> = {}) =>
    completePages(browser, await browser.open(authorizeUrl(parameters)))
  return { server, challengeOf, tokenAt, authorize }
}

const codeAt = (secret: string, { clock }: TestServer) =>
  new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({ timestamp: clock.now() * 1000 })

function nextCode(secret: string, server: TestServer): string {
  server.clock.tick(30)
  return codeAt(secret, server)
}

const secretOf = ({ body }: Page) =>
  (/class="secret[^"]*">([^<]+)</.exec(body)?.[1] ?? '').replaceAll(' ', '')

/** Sets up an authenticator app, in a browser of its own or in the given one. */
async function withApp(server: TestServer, browser = openBrowser(server)): Promise<string> {
  const setup = await completePages(browser, await browser.open('/account/totp'))
  const secret = secretOf(setup)
  await browser.submit(setup, { form: '/account/totp', fill: { code: nextCode(secret, server) } })
  return secret
}

t.test('a user with a second factor is asked for it when an API requires it (RFC 9470 §4, §5)', async (t) => {
  const { server, challengeOf, tokenAt, authorize } = await start(t as Test)
  const browser = openBrowser(server)
  const weak = await tokenAt(await authorize(browser))
  t.equal(claimsOf(weak).acr, PASSWORD)
  const secret = await withApp(server)
  const parameters = await challengeOf(weak, AT_LEAST_MFA)
  t.same(parameters, { acr_values: `${MFA} phr` })

  const page = await authorize(browser, parameters)
  t.equal(page.path, '/login/second-factor')
  const done = await browser.submit(page, {
    form: '/login/second-factor',
    fill: { code: nextCode(secret, server) },
  })
  const strong = await tokenAt(await completePages(browser, done))
  t.match(claimsOf(strong), { acr: MFA, auth_time: server.clock.now() })
  t.equal(await challengeOf(strong, AT_LEAST_MFA), undefined)

  const form = { token: strong, token_type_hint: 'access_token' }
  const introspected = await post(server, '/oauth2/introspect', form, { authorization: basic('orders') })
  t.match(
    introspected.json(),
    { active: true, acr: MFA, auth_time: claimsOf(strong).auth_time },
    'RFC 9470 §6.2',
  )
})

t.test('a user without a second factor sets one up first', async (t) => {
  const { server, challengeOf, tokenAt, authorize } = await start(t as Test)
  const browser = openBrowser(server)
  const parameters = await challengeOf(await tokenAt(await authorize(browser)), AT_LEAST_MFA)
  const page = await authorize(browser, parameters)
  t.equal(page.path, '/account/second-factor')
  const setup = await browser.open(page.links.find((link) => link.startsWith('/account/totp')) ?? '')
  const code = nextCode(secretOf(setup), server)
  const codes = await browser.submit(setup, { form: '/account/totp', fill: { code } })
  const done = await completePages(browser, await browser.open(codes.links[0] ?? ''))
  t.equal(await challengeOf(await tokenAt(done), AT_LEAST_MFA), undefined)

  const silent = await openBrowser(server).open(authorizeUrl({ ...parameters, prompt: 'none' }))
  clientGetsError(t as Test, silent, { error: 'login_required' })
})

t.test('max_age asks for a new login, whose time is in the token', async (t) => {
  const { server, challengeOf, tokenAt, authorize } = await start(t as Test)
  const browser = openBrowser(server)
  const token = await tokenAt(await authorize(browser))
  const recent: Requirements = { maxAge: 300 }
  t.equal(await challengeOf(token, recent), undefined)
  server.clock.tick(331)
  const parameters = await challengeOf(token, recent)
  t.same(parameters, { max_age: '300' })
  const again = await tokenAt(await authorize(browser, parameters))
  t.equal(claimsOf(again).auth_time, server.clock.now())
  t.equal(await challengeOf(again, recent), undefined)
})

t.test(
  'a level that the user cannot reach ends with an error, not with a token that the API refuses again (RFC 9470 §5)',
  async (t) => {
    const { server, authorize } = await start(t as Test)
    const browser = openBrowser(server)
    const secret = await withApp(server, browser)
    const unmet = { error: 'unmet_authentication_requirements' }
    clientGetsError(t as Test, await authorize(browser, { acr_values: 'phr' }), unmet)
    const fresh = openBrowser(server)
    const page = await authorize(fresh, { acr_values: 'phr' })
    t.equal(page.path, '/login/second-factor')
    const done = await fresh.submit(page, {
      form: '/login/second-factor',
      fill: { code: nextCode(secret, server) },
    })
    clientGetsError(t as Test, await completePages(fresh, done), unmet)
  },
)

t.test(
  'a user who has signed in with a code is asked for the passkey that reaches the requested level',
  async (t) => {
    const { server, tokenAt, authorize } = await start(t as Test)
    const key = createAuthenticator({ origin: ISSUER, rpId: new URL(ISSUER).hostname })
    const registering = openBrowser(server)
    const setup = await completePages(registering, await registering.open('/account/passkeys'))
    await byPasskey(registering, setup, '/account/passkeys', key, { name: 'Key' })
    const secret = await withApp(server, registering)

    const browser = openBrowser(server)
    const login = await authorize(browser)
    const code = nextCode(secret, server)
    const byCode = await completePages(
      browser,
      await browser.submit(login, { form: '/login/second-factor', fill: { code } }),
    )
    t.equal(claimsOf(await tokenAt(byCode)).acr, MFA)
    for (const parameters of [
      { acr_values: 'phr' },
      { claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'phr' } } }) },
    ]) {
      const other = openBrowser(server)
      const first = await authorize(other)
      const weaker = { form: '/login/second-factor', fill: { code: nextCode(secret, server) } }
      await completePages(other, await other.submit(first, weaker))
      const page = await authorize(other, parameters)
      t.equal(page.path, '/login/second-factor')
      const done = await byPasskey(other, page, '/login/second-factor', key)
      t.equal(claimsOf(await tokenAt(await completePages(other, done))).acr, 'phr')
    }
  },
)

t.test(
  'values that the server does not know, or that a password reaches, change nothing (OpenID Connect Core §3.1.2.1)',
  async (t) => {
    const { server, tokenAt, authorize } = await start(t as Test)
    for (const acr_values of ['1 2', PASSWORD, `${PASSWORD} ${MFA}`, `phr ${PASSWORD}`, `1 ${PASSWORD}`]) {
      const token = await tokenAt(await authorize(openBrowser(server), { acr_values }))
      t.equal(claimsOf(token).acr, PASSWORD, acr_values)
    }
  },
)
