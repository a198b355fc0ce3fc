/** Authorization responses as signed JWTs: JARM (JWT Secured Authorization Response Mode for OAuth 2.0). */
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { STRANGER_LIMITS } from '../../src/oauth/authorize/signed-response.ts'
import { openBrowser, type Page } from '../support/browser/browser.ts'
import {
  authorizeUrl,
  codeClient,
  OWN_REDIRECT,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { basic, post } from '../support/server/requests.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer({ settings: { ALGORITHMS: 'RS256 ES256 PS256' } })
t.teardown(() => server.close())
await seedUsers(server.store)
await server.store.clients.insert(
  codeClient({
    id: 'signed',
    firstParty: true,
    redirectUris: [OWN_REDIRECT],
    authorizationSignedResponseAlg: 'ES256',
  }),
)
const browser = openBrowser(server)
await signIn(browser, { client_id: 'own' })

const own = (response_mode: string, more = {}) =>
  authorizeUrl({ client_id: 'own', redirect_uri: OWN_REDIRECT, response_mode, ...more })

/** The claims of the one parameter of the response. */
async function claimsIn(t: Test, params: URLSearchParams | undefined, alg = 'RS256', client = 'own') {
  t.same([...(params?.keys() ?? [])], ['response'], 'nothing outside the JWT (JARM §2.3)')
  const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  const { payload, protectedHeader } = await jwtVerify(
    params?.get('response') ?? '',
    createLocalJWKSet({ keys }),
    { issuer: ISSUER, audience: client, currentDate: new Date(server.clock.now() * 1000) },
  )
  t.equal(protectedHeader.alg, alg)
  return payload
}

t.test('the response is one JWT with iss, aud, exp and the parameters (JARM §2.1, §2.3)', async (t) => {
  for (const mode of ['jwt', 'query.jwt']) {
    const { away } = await browser.open(own(mode))
    t.equal(away?.method, 'GET')
    const { code, exp, ...rest } = await claimsIn(t as Test, away?.params)
    t.same(rest, { iss: ISSUER, aud: 'own', state: 'the state' }, mode)
    t.ok(Number(exp) > server.clock.now() && Number(exp) <= server.clock.now() + 600, 'at most ten minutes')
    t.match(tokensOf(await redeem(server, String(code), { as: 'own' })), { token_type: 'Bearer' })
  }
})

t.test('form_post.jwt posts the JWT (JARM §2.3.3)', async (t) => {
  const { away } = await browser.submit(await browser.open(own('form_post.jwt')))
  t.equal(away?.method, 'POST')
  t.match(await claimsIn(t as Test, away?.params), { code: /^ktc_/, state: 'the state' })
})

t.test(
  'a client chooses the algorithm; without a choice it is the default of the ring (JARM §3)',
  async (t) => {
    const { away } = await browser.open(own('jwt', { client_id: 'signed' }))
    t.match(await claimsIn(t as Test, away?.params, 'ES256', 'signed'), { code: /^ktc_/ })
  },
)

t.test('errors are signed too, and the state is left out if none was sent (JARM §2.1)', async (t) => {
  const refusals: readonly (readonly [Record<string, string | undefined>, string])[] = [
    [{ scope: 'openid admin', response_type: 'token' }, 'unsupported_response_type'],
    [{ prompt: 'none', max_age: '0' }, 'login_required'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
  ]
  for (const [request, error] of refusals) {
    const { away } = await browser.open(own('jwt', { ...request, state: undefined }))
    const { exp, error_description, ...rest } = await claimsIn(t as Test, away?.params)
    t.same(rest, { iss: ISSUER, aud: 'own', error }, error)
  }
})

t.test('the denial of a user is signed', async (t) => {
  const page = await browser.open(authorizeUrl({ client_id: 'web', response_mode: 'jwt', prompt: 'consent' }))
  const { away } = await browser.submit(page, { form: '/consent', press: 'deny' })
  t.match(await claimsIn(t as Test, away?.params, 'RS256', 'web'), { error: 'access_denied' })
})

t.test('a mode that is unknown or repeated gets an unsigned error', async (t) => {
  for (const response_mode of ['fragment.jwt', 'JWT', 'form_post.JWT']) {
    const { away } = await browser.open(own(response_mode))
    t.equal(away?.params.get('error'), 'invalid_request', response_mode)
  }
  const { away } = await browser.open(authorizeUrl({ client_id: 'own', response_mode: ['jwt', 'jwt'] }))
  t.equal(away?.params.get('error'), 'invalid_request')
})

t.test(
  'a signed response is no ID token hint, no access token and no client assertion (RFC 8725 §3.12)',
  async (t) => {
    const { away } = await browser.open(own('jwt'))
    const response = away?.params.get('response') ?? ''
    const hint = await browser.open(own('query', { id_token_hint: response, prompt: 'none' }))
    t.equal(hint.away?.params.get('error'), 'invalid_request', 'the hint is refused')
    const headers = { authorization: `Bearer ${response}` }
    t.equal((await server.inject({ url: '/oauth2/userinfo', headers })).statusCode, 401)
    const introspected = await post(
      server,
      '/oauth2/introspect',
      { token: response },
      { authorization: basic('own') },
    )
    t.same(introspected.json(), { active: false })
  },
)

t.test('the metadata lists the modes and the algorithms of the ring (JARM §4)', async (t) => {
  const metadata = (await server.inject({ url: '/.well-known/openid-configuration' })).json()
  t.same(metadata.response_modes_supported, ['query', 'form_post', 'jwt', 'query.jwt', 'form_post.jwt'])
  t.ok(metadata.authorization_signing_alg_values_supported.includes('RS256'))
})

t.test('strangers get only so many signed responses at once', async (t) => {
  const stranger = openBrowser(server)
  const answers: Page[] = []
  const url = own('jwt', { prompt: 'none' })
  for (let i = 0; i < STRANGER_LIMITS.burst + 5; i += 1) answers.push(await stranger.open(url))
  const signed = answers.filter(({ away }) => away !== null)
  t.equal(signed.length, STRANGER_LIMITS.burst)
  t.equal(answers.at(-1)?.status, 429)
  t.match(
    (await browser.open(own('jwt'))).away?.params.get('response'),
    /^ey/,
    'a signed-in user is not counted',
  )
  server.clock.tick(STRANGER_LIMITS.interval)
  t.not((await stranger.open(url)).away, null)
})
