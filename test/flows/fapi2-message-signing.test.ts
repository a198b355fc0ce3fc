/**
 * The modules that the OpenID Foundation’s plan `fapi2-message-signing-final-test-plan` adds to that of the security profile: clients that
 * sign their requests (RFC 9101), and responses that the server signs (JARM). The names of the modules are without the prefix of the plan.
 */

import { UnsecuredJWT } from 'jose'
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { fapiSuite, outcome } from '../support/issuers/fapi-suite.ts'
import { clientKey } from '../support/server/jws.ts'
import { ISSUER } from '../support/server/server.ts'

const suite = await fapiSuite(t, { requireSignedRequests: true })
const { server, first, second } = suite
const { clock } = server

const INVALID = [400, 'invalid_request_object']

/** The parameters of the response to a request object; it must be accepted. */
async function answered(claims: Record<string, unknown> = {}, outside: Record<string, string> = {}) {
  const answer = await suite.pushObject(suite.requestObject(claims), {}, outside)
  t.equal(answer.statusCode, 201, answer.body)
  const page = await suite.visit(answer.json().request_uri)
  if (!page.away) throw new Error(`no response but ${page.status} ${page.path}`)
  return page.away.params
}

const idTokenOf = async (params: URLSearchParams) => {
  const code = params.get('code') ?? params.get('error') ?? ''
  return suite.idTokenClaims(suite.tokensOf(await suite.redeem(code)).id_token)
}

t.test('happy-flow: a signed request, and a response that the server signs', async (t) => {
  const params = await answered({ response_mode: 'jwt' })
  t.same([...params.keys()], ['response'])
  const { code, state, ...rest } = await suite.idTokenClaims(params.get('response') ?? '')
  t.match(rest, { iss: ISSUER, aud: first.id })
  t.equal(state, 'the state')
  t.equal((await suite.redeem(String(code))).statusCode, 200)
})

t.test('ensure-request-object-with-multiple-aud-succeeds: the issuer is one of the audiences', async (t) => {
  t.ok((await answered({ aud: ['https://other.test', ISSUER] })).has('code'))
})

t.test('ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted', async (t) => {
  t.ok((await answered({ nbf: clock.now() + 8, iat: clock.now() + 8 })).has('code'))
})

t.test(
  'ensure-request-object-without-exp-fails, -without-nbf-fails, ensure-expired-request-object-fails, -with-bad-aud-fails, -with-exp-over-60-fails, -with-nbf-over-60-fails: a request object says when and for whom it is (FAPI 2.0 Message Signing §5.3.1)',
  async (t) => {
    const now = clock.now()
    const MINUTE = 60
    const wrong: Record<string, Record<string, unknown>> = {
      'without exp': { exp: undefined },
      'without nbf': { nbf: undefined },
      expired: { nbf: now - 600, iat: now - 600, exp: now - 300 },
      'another audience': { aud: 'https://other.test' },
      'no audience': { aud: undefined },
      'exp in 70 minutes': { exp: now + 70 * MINUTE },
      'exp 61 minutes after nbf': { nbf: now - 10 * MINUTE, exp: now + 51 * MINUTE },
      'nbf 70 minutes ago': { nbf: now - 70 * MINUTE },
      'nbf in 61 s': { nbf: now + 61 },
      'nbf as text': { nbf: String(now) },
    }
    for (const [label, claims] of Object.entries(wrong)) {
      t.same(outcome(await suite.pushObject(suite.requestObject(claims))), INVALID, label)
    }
  },
)

t.test('a client without the profile may leave out nbf, which RFC 9101 does not ask for', async (t) => {
  await server.store.clients.update(second.id, (one) => ({ ...one, profile: null }))
  await server.poll()
  const request = suite.requestObject({ nbf: undefined }, { client: second })
  t.equal((await suite.pushObject(request, { client: second })).statusCode, 201)
  await server.store.clients.update(second.id, (one) => ({ ...one, profile: 'fapi2' }))
  await server.poll()
})

t.test('ensure-request-object-without-redirect-uri-fails', async (t) => {
  const request = suite.requestObject({ redirect_uri: undefined })
  t.same(outcome(await suite.pushObject(request)), [400, 'invalid_request'])
  const beside = await suite.pushObject(request, {}, { redirect_uri: WEB_REDIRECT })
  t.same(outcome(beside), [400, 'invalid_request'], 'only the signed one counts')
})

t.test(
  'ensure-signed-request-object-with-RS256-fails, ensure-request-object-signature-algorithm-is-not-none, -with-invalid-signature-fails, ensure-matching-key-in-authorization-request (docs/security.md O155)',
  async (t) => {
    // The same RSA key may sign with PS256.
    await server.store.clients.update(first.id, (one) => ({
      ...one,
      jwks: { keys: (one.jwks?.keys ?? []).map(({ alg, ...key }) => key) },
    }))
    await server.poll()
    const good = suite.requestObject()
    const [head, body, signature = ''] = good.split('.')
    const flipped = Buffer.from(signature, 'base64url')
    flipped[0] = (flipped[0] ?? 0) ^ 1
    const wrong = {
      RS256: suite.requestObject({}, { header: { alg: 'RS256' }, signedAs: 'RS256' }),
      none: new UnsecuredJWT({
        iss: first.id,
        aud: ISSUER,
        nbf: clock.now(),
        exp: clock.now() + 60,
      }).encode(),
      'none with a signature': suite.requestObject({}, { header: { alg: 'none' } }),
      'another signature': `${head}.${body}.${flipped.toString('base64url')}`,
      'the key of another client': suite.requestObject({}, { key: { ...second.key, kid: first.key.kid } }),
      'an unknown key': suite.requestObject({}, { key: clientKey('ES256', first.key.kid) }),
    }
    for (const [label, request] of Object.entries(wrong)) {
      t.same(outcome(await suite.pushObject(request)), INVALID, label)
    }
    t.equal((await suite.pushObject(good)).statusCode, 201, 'PS256')
  },
)

t.test(
  'ensure-unsigned-request-at-par-endpoint-fails: parameters that are not signed are refused',
  async (t) => {
    t.match(outcome(await suite.push()), [400, /^invalid_request/])
  },
)

t.test(
  'ensure-different-nonce-inside-and-outside-request-object, ensure-different-state-inside-and-outside-request-object, state-only-outside-request-object-not-used: only what is signed counts (docs/security.md O156)',
  async (t) => {
    const inside = await answered(
      { nonce: 'inside', state: 'inside' },
      { nonce: 'outside', state: 'outside' },
    )
    t.equal(inside.get('state'), 'inside')
    t.equal((await idTokenOf(inside)).nonce, 'inside')
    const outside = await answered(
      { state: undefined, nonce: undefined },
      { nonce: 'outside', state: 'outside' },
    )
    t.notOk(outside.has('state'))
    t.equal((await idTokenOf(outside)).nonce, undefined)

    const uri = (await suite.pushObject(suite.requestObject({ state: undefined }))).json().request_uri
    const at = openBrowser(server)
    const page = await at.open(suite.authorizeUrl(uri, first, { state: 'outside', nonce: 'outside' }))
    const last = await suite.visit(uri, { at })
    t.notOk(page.away?.params.has('state'))
    t.notOk(last.away?.params.has('state'), 'beside the request_uri, too')
  },
)

t.test(
  'par-authorization-request-containing-request_uri: a request_uri inside the object is refused',
  async (t) => {
    const request_uri = 'urn:ietf:params:oauth:request_uri:x'
    t.same(outcome(await suite.pushObject(suite.requestObject({ request_uri }))), INVALID)
    t.same(outcome(await suite.pushObject(suite.requestObject({ request: 'x.y.z' }))), INVALID)
  },
)
