/**
 * The modules of the OpenID Foundation’s plan `fapi2-security-profile-final-test-plan`, with private_key_jwt and DPoP. The names of the
 * modules are without the prefix of the plan. docs/internals/conformance.md maps them.
 */
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { clientGetsError, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeUrl,
  CHALLENGE,
  completePages,
  VERIFIER,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { thumbprintOf } from '../support/dpop/proofs.ts'
import { fapiSuite, jsonOf, outcome, PAR, TOKEN } from '../support/issuers/fapi-suite.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { claimsOf, post } from '../support/server/requests.ts'
import { ISSUER } from '../support/server/server.ts'

const suite = await fapiSuite(t)
const { server, first, second } = suite
const { clock } = server

t.test(
  'discovery-end-point-verification: the metadata has what the profile needs (docs/security.md O156)',
  async (t) => {
    const metadata = await jsonOf(server, '/.well-known/openid-configuration')
    t.same(await jsonOf(server, '/.well-known/oauth-authorization-server'), metadata)
    t.match(metadata, {
      issuer: ISSUER,
      pushed_authorization_request_endpoint: ISSUER + PAR,
      authorization_response_iss_parameter_supported: true,
      code_challenge_methods_supported: ['S256'],
      response_types_supported: ['code'],
    })
    const includes = (name: string, ...values: string[]) => {
      const list = (metadata[name] ?? []) as string[]
      for (const value of values) t.ok(list.includes(value), `${name} has ${value}`)
      if (name.endsWith('alg_values_supported')) t.notOk(list.includes('none'), `${name} has no none`)
    }
    includes('token_endpoint_auth_methods_supported', 'private_key_jwt')
    includes('token_endpoint_auth_signing_alg_values_supported', 'PS256', 'ES256', 'EdDSA')
    includes('request_object_signing_alg_values_supported', 'PS256', 'ES256', 'EdDSA')
    includes('dpop_signing_alg_values_supported', 'PS256', 'ES256', 'EdDSA')
    includes('id_token_signing_alg_values_supported', 'ES256')
    includes('grant_types_supported', 'authorization_code', 'refresh_token')
    includes('scopes_supported', 'openid')
  },
)

t.test(
  'happy-flow: two clients sign a user in, and each token works with the key of its client alone (docs/security.md O153, O155, O156)',
  async (t) => {
    for (const client of [first, second]) {
      const overrides = client === first ? {} : { redirect_uri: `${WEB_REDIRECT}?dummy1=lorem&dummy2=ipsum` }
      const options = { client, form: client === first ? {} : { redirect_uri: overrides.redirect_uri ?? '' } }
      const params = await suite.answered(overrides, { client })
      t.equal(params.get('iss'), ISSUER)
      t.equal(params.get('state'), 'the state')
      const answer = await suite.redeem(String(params.get('code')), options)
      t.equal(answer.headers['cache-control'], 'no-store')
      const tokens = suite.tokensOf(answer)
      t.equal(tokens.token_type, 'DPoP')
      t.same(claimsOf(tokens.access_token).cnf, { jkt: thumbprintOf(client.dpop) })
      t.match(await suite.idTokenClaims(tokens.id_token, client), { nonce: 'the-nonce', sub: suite.alice.id })
      t.equal((await suite.userinfo(tokens.access_token, { key: client.dpop })).statusCode, 200)
      const other = client === first ? second : first
      t.equal((await suite.userinfo(tokens.access_token, { key: other.dpop })).statusCode, 401)
    }
  },
)

t.test('user-rejects-authentication: the client gets access_denied', async (t) => {
  const page = await suite.visit(await suite.pushed(), { consent: 'deny' })
  clientGetsError(t, page, { error: 'access_denied' })
  t.equal(page.away?.params.get('iss'), ISSUER)
})

t.test('ensure-authorization-request-without-state-success: no state is returned', async (t) => {
  const params = await suite.answered({ state: undefined })
  t.ok(params.has('code'))
  t.notOk(params.has('state'))
})

t.test(
  'ensure-authorization-request-without-nonce-success, -with-64-char-nonce-success, -with-long-nonce: the nonce comes back unchanged (FAPI 2.0 §5.3.2.2-14; docs/security.md O157)',
  async (t) => {
    for (const nonce of [undefined, 'n'.repeat(64), 'n'.repeat(384)]) {
      const { id_token } = await suite.signIn({ nonce })
      t.equal((await suite.idTokenClaims(id_token)).nonce, nonce)
    }
  },
)

t.test('ensure-authorization-request-with-long-state: the state comes back unchanged', async (t) => {
  const state = 's~'.repeat(500)
  t.equal((await suite.answered({ state })).get('state'), state)
})

t.test('ensure-other-scope-order-succeeds: the order of scopes means nothing', async (t) => {
  const tokens = await suite.signIn({ scope: 'orders:read openid' })
  t.ok(tokens.id_token)
})

t.test('test-claims-parameter-identity-claims: claims that are asked for by name are returned', async (t) => {
  const { claims_supported } = (await jsonOf(server, '/.well-known/openid-configuration')) as {
    claims_supported: string[]
  }
  const all = Object.fromEntries([...claims_supported, 'random unknown claim'].map((name) => [name, null]))
  const tokens = await suite.signIn({
    claims: JSON.stringify({ id_token: { ...all, acr: null }, userinfo: all }),
  })
  const claims = await suite.idTokenClaims(tokens.id_token)
  const userinfo = (await suite.userinfo(tokens.access_token)).json()
  t.equal(userinfo.sub, claims.sub)
  t.equal(userinfo.preferred_username ?? claims.preferred_username, 'alice')
})

t.test(
  'access-token-type-header-case-sensitivity: the name of the scheme is not case-sensitive (RFC 9110 §11.1)',
  async (t) => {
    const { access_token: token } = await suite.signIn()
    for (const scheme of ['DPoP', 'dpop', 'DPOP', 'dPoP']) {
      t.equal((await suite.userinfo(token, { scheme })).statusCode, 200, scheme)
    }
  },
)

t.test(
  'check-dpop-proof-nbf-exp, ensure-dpopproof-with-iat-10seconds-before-succeeds, -after-succeeds: proofs may be a little early or late (FAPI 2.0 §5.3.2.1-13)',
  async (t) => {
    const now = clock.now()
    for (const proof of [{ iat: now - 10 }, { iat: now + 10 }, { nbf: now - 10, exp: now + 300 }]) {
      const label = JSON.stringify(proof)
      const code = await suite.codeFor({}, { dpop: first.dpop, proof })
      const tokens = suite.tokensOf(await suite.redeem(code, { proof }))
      t.equal((await suite.userinfo(tokens.access_token, { claims: proof })).statusCode, 200, label)
    }
  },
)

t.test(
  'ensure-mismatched-dpop-jkt-fails: PAR refuses dpop_jkt of another key than the proof (RFC 9449 §10.1)',
  async (t) => {
    const answer = await suite.push({ dpop_jkt: thumbprintOf(second.dpop) }, { dpop: first.dpop })
    t.equal(answer.statusCode, 400)
    t.match(answer.json().error, /^invalid_(?:request|dpop_proof)$/)
  },
)

t.test(
  'ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt, -mismatched-dpop-jkt: the code is bound to the key of the request (FAPI 2.0 §5.3.2.1-12)',
  async (t) => {
    const byProof = await suite.codeFor({}, { dpop: first.dpop })
    const byParameter = await suite.codeFor({ dpop_jkt: thumbprintOf(first.dpop) })
    for (const code of [byProof, byParameter]) {
      const answer = await suite.redeem(code, { dpop: clientKey('ES256') })
      t.equal(answer.statusCode, 400)
      t.match(answer.json().error, /^invalid_(?:grant|request|dpop_proof)$/)
    }
  },
)

t.test(
  'ensure-dpopproof-at-par-endpoint-binding-success, ensure-dpop-auth-code-binding-success: the same key redeems the code',
  async (t) => {
    const dpop_jkt = thumbprintOf(first.dpop)
    const ways = [
      [{}, { dpop: first.dpop }],
      [{ dpop_jkt }, {}],
      [{ dpop_jkt }, { dpop: first.dpop }],
    ] as const
    for (const [overrides, options] of ways) {
      t.equal((await suite.redeem(await suite.codeFor(overrides, options))).statusCode, 200)
    }
  },
)

t.test(
  'ensure-registered-redirect-uri, plain-fapi-tolerate-unregistered-redirect-uri: PAR refuses it',
  async (t) => {
    for (const redirect_uri of [`${WEB_REDIRECT}/unregistered`, `${WEB_REDIRECT}?x=1`]) {
      t.same(outcome(await suite.push({ redirect_uri })), [400, 'invalid_request'])
    }
  },
)

t.test(
  'ensure-unsigned-authorization-request-without-using-par-fails: a request that was not pushed is refused (docs/security.md O156)',
  async (t) => {
    const url = authorizeUrl({ client_id: first.id, redirect_uri: WEB_REDIRECT })
    clientGetsError(t, await openBrowser(server).open(url), { error: 'invalid_request' })
  },
)

t.test(
  'ensure-redirect-uri-in-authorization-request: PAR needs it, even if the client has only one (FAPI 2.0 §5.3.2.2-6)',
  async (t) => {
    for (const scope of ['openid', 'orders:read']) {
      t.same(outcome(await suite.push({ redirect_uri: undefined, scope })), [400, 'invalid_request'], scope)
    }
    await server.store.clients.update(second.id, (one) => ({ ...one, redirectUris: [WEB_REDIRECT] }))
    await server.poll()
    const answer = await suite.push({ redirect_uri: undefined, scope: 'orders:read' }, { client: second })
    t.same(outcome(answer), [400, 'invalid_request'])
  },
)

t.test('ensure-response-type-code-idtoken-fails, ensure-response-type-token-fails', async (t) => {
  for (const response_type of ['code id_token', 'token', 'id_token', 'code token']) {
    t.same(outcome(await suite.push({ response_type })), [400, 'unsupported_response_type'], response_type)
  }
})

t.test('ensure-client-id-in-token-endpoint: client_id of another client is refused', async (t) => {
  const code = await suite.codeFor()
  const answer = await suite.redeem(code, { form: { client_id: second.id } })
  t.match(outcome(answer), [400, 'invalid_request'])
  t.equal((await suite.redeem(code)).statusCode, 200, 'and uses up nothing')
})

t.test(
  'ensure-holder-of-key-required: without a proof there is no token, with any grant (docs/security.md O153)',
  async (t) => {
    const code = await suite.codeFor()
    await writesNothing(
      t,
      server,
      async () => {
        t.same(outcome(await suite.redeem(code, { dpop: null })), [400, 'invalid_request'])
      },
      ['single_use'],
    )
    const tokens = suite.tokensOf(await suite.redeem(code))
    t.same(outcome(await suite.refresh(tokens.refresh_token, { dpop: null })), [400, 'invalid_request'])
  },
)

t.test(
  'ensure-authorization-code-is-bound-to-client: another client cannot redeem it, and does not use it up',
  async (t) => {
    const code = await suite.codeFor()
    t.same(outcome(await suite.redeem(code, { client: second })), [400, 'invalid_grant'])
    t.equal((await suite.redeem(code)).statusCode, 200)
  },
)

t.test(
  'attempt-reuse-authorization-code-after-one-second: it is refused, and its tokens end (docs/security.md O158)',
  async (t) => {
    const code = await suite.codeFor()
    const tokens = suite.tokensOf(await suite.redeem(code))
    clock.tick(1)
    t.same(outcome(await suite.redeem(code)), [400, 'invalid_grant'])
    t.equal((await suite.userinfo(tokens.access_token)).statusCode, 401)
    t.same(outcome(await suite.refresh(tokens.refresh_token)), [400, 'invalid_grant'])
  },
)

t.test(
  'ensure-token-endpoint-fails-with-expired-auth-code: a code is good for less than 60 s (FAPI 2.0 §5.3.2.1-11)',
  async (t) => {
    const code = await suite.codeFor()
    clock.tick(60)
    t.same(outcome(await suite.redeem(code)), [400, 'invalid_grant'])
  },
)

t.test('ensure-signed-client-assertion-with-RS256-fails (docs/security.md O155)', async (t) => {
  // The same RSA key, which could sign with PS256.
  const rs256 = { ...first, key: { ...first.key, alg: 'RS256' } }
  await server.store.clients.update(first.id, (one) => ({
    ...one,
    jwks: { keys: (one.jwks?.keys ?? []).map(({ alg, ...key }) => key) },
  }))
  await server.poll()
  const code = await suite.codeFor()
  for (const path of [TOKEN, PAR]) {
    const answer = await suite.send(path, { grant_type: 'authorization_code', code }, { client: rs256 })
    t.same(outcome(answer), [401, 'invalid_client'], path)
  }
  t.equal((await suite.redeem(code)).statusCode, 200, 'with PS256')
})

t.test(
  'ensure-client-assertion-in-token-endpoint: the client must authenticate (docs/security.md O154)',
  async (t) => {
    const code = await suite.codeFor()
    for (const form of [{}, { client_id: first.id }, { client_id: first.id, client_secret: 'secret' }]) {
      const answer = await suite.redeem(code, { assertion: null, form })
      t.match(answer.json().error, 'invalid_client', JSON.stringify(form))
    }
  },
)

t.test(
  'ensure-client-assertion-with-exp-is-5-minutes-in-past-fails, -wrong-aud-fails, -no-sub-fails',
  async (t) => {
    const now = clock.now()
    const code = await suite.codeFor()
    const wrong: Record<string, unknown>[] = [
      { exp: now - 300, iat: now - 360 },
      { aud: 'https://other.test' },
      { sub: undefined },
      { sub: second.id },
    ]
    for (const claims of wrong) {
      const answer = await suite.redeem(code, { assertion: claims })
      t.same(outcome(answer), [401, 'invalid_client'], JSON.stringify(claims))
    }
  },
)

t.test(
  'par-test-array-as-audience-fails, par-test-par-endpoint-url-as-audience-fails, par-test-token-endpoint-url-as-audience-fails (FAPI 2.0 §5.3.2.1-8)',
  async (t) => {
    for (const aud of [[ISSUER], [ISSUER, ISSUER + TOKEN], ISSUER + PAR, ISSUER + TOKEN, `${ISSUER}/`]) {
      const answer = await suite.push({}, { assertion: { aud } })
      t.same(outcome(answer), [401, 'invalid_client'], JSON.stringify(aud))
    }
  },
)

t.test(
  'par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted, -nbf-over-60-seconds-in-the-future-fails (FAPI 2.0 §5.3.2.1-13)',
  async (t) => {
    const now = clock.now()
    for (const ahead of [0, 8, 10]) {
      const claims = { nbf: now + ahead, iat: now + ahead, exp: now + 120 }
      t.equal((await suite.push({}, { assertion: claims })).statusCode, 201, `${ahead} s`)
    }
    for (const claims of [
      { nbf: now + 61 },
      { iat: now + 61 },
      { nbf: now + 70, iat: now + 70, exp: now + 130 },
    ]) {
      const answer = await suite.push({}, { assertion: claims })
      t.same(outcome(answer), [401, 'invalid_client'], JSON.stringify(claims))
    }
  },
)

t.test(
  'refresh-token: it is bound to its client, and the same one is good after 30 s and after every refresh (FAPI 2.0 §5.3.2.1-9; docs/security.md F73)',
  async (t) => {
    const tokens = await suite.signIn()
    t.same(outcome(await suite.refresh(tokens.refresh_token, { client: second })), [400, 'invalid_grant'])
    t.match(outcome(await suite.refresh(tokens.refresh_token, { assertion: null })), [401, 'invalid_client'])
    for (const wait of [0, 1, 31, 600, 86_400]) {
      clock.tick(wait)
      const again = suite.tokensOf(await suite.refresh(tokens.refresh_token))
      t.equal(again.refresh_token, tokens.refresh_token, `after ${wait} s: it does not rotate`)
      t.equal(again.token_type, 'DPoP')
      t.equal((await suite.userinfo(again.access_token)).statusCode, 200)
    }
    const together = await Promise.all(Array.from({ length: 20 }, () => suite.refresh(tokens.refresh_token)))
    t.ok(
      together.every(({ statusCode }) => statusCode === 200),
      'twenty at once',
    )
    t.same(server.logger.audits('token.reuse_detected'), [])
  },
)

t.test('a session that is refreshed goes on, and ends when it is not used, revoked or too old', async (t) => {
  const DAY = 86_400
  const tokens = await suite.signIn({ scope: 'openid orders:read offline_access', prompt: 'consent' })
  for (let day = 0; day < 24; day += 6) {
    clock.tick(6 * DAY)
    t.equal((await suite.refresh(tokens.refresh_token)).statusCode, 200, `day ${day + 6}`)
  }
  clock.tick(7 * DAY)
  t.same(outcome(await suite.refresh(tokens.refresh_token)), [400, 'invalid_grant'], 'idle for 7 days')

  const revoked = await suite.signIn()
  t.equal(
    (await suite.send('/oauth2/revoke', { token: revoked.refresh_token }, { dpop: null })).statusCode,
    200,
  )
  t.same(outcome(await suite.refresh(revoked.refresh_token)), [400, 'invalid_grant'])

  const old = await suite.signIn({ scope: 'openid orders:read offline_access', prompt: 'consent' })
  for (let day = 0; day < 30; day += 6) {
    const answer = await suite.refresh(old.refresh_token)
    t.equal(answer.statusCode, 200, `day ${day}`)
    clock.tick(6 * DAY)
  }
  t.same(outcome(await suite.refresh(old.refresh_token)), [400, 'invalid_grant'], 'after 30 days')
})

t.test(
  'a confidential client may refresh with another key, to which the new access token is bound (RFC 9449 §5)',
  async (t) => {
    const tokens = await suite.signIn()
    const key = clientKey('EdDSA')
    const next = suite.tokensOf(await suite.refresh(tokens.refresh_token, { dpop: key }))
    t.same(claimsOf(next.access_token).cnf, { jkt: thumbprintOf(key) })
    t.equal((await suite.userinfo(next.access_token, { key })).statusCode, 200)
    t.equal((await suite.userinfo(next.access_token)).statusCode, 401)
  },
)

t.test(
  'an old refresh token of a client that got the profile later is refused, and ends nothing',
  async (t) => {
    await server.store.clients.update(first.id, (one) => ({ ...one, profile: null }))
    await server.poll()
    const before = await suite.signIn()
    const rotated = suite.tokensOf(await suite.refresh(before.refresh_token))
    t.not(rotated.refresh_token, before.refresh_token)
    await server.store.clients.update(first.id, (one) => ({ ...one, profile: 'fapi2' }))
    await server.poll()
    clock.tick(60)
    t.same(outcome(await suite.refresh(before.refresh_token)), [400, 'invalid_grant'])
    t.equal(suite.tokensOf(await suite.refresh(rotated.refresh_token)).refresh_token, rotated.refresh_token)
    t.same(server.logger.audits('token.reuse_detected'), [])
  },
)

t.test(
  'test-essential-acr-sca-claim: an essential acr that nobody can reach is refused before anyone signs in',
  async (t) => {
    const claims = JSON.stringify({
      id_token: { acr: { essential: true, value: 'urn:openbanking:psd2:sca' } },
    })
    const { away } = await openBrowser(server).open(suite.authorizeUrl(await suite.pushed({ claims })))
    t.equal(away?.params.get('error'), 'unmet_authentication_requirements')
  },
)

t.test(
  'par-ensure-reused-request-uri-prior-to-auth-completion-succeeds: only the answer uses it up (FAPI 2.0 §5.3.2.2 Note 3)',
  async (t) => {
    const uri = await suite.pushed()
    const at = openBrowser(server)
    await at.open(suite.authorizeUrl(uri))
    t.ok((await suite.visit(uri, { at })).away?.params.has('code'))
  },
)

t.test('par-attempt-reuse-request_uri: after the answer it is refused', async (t) => {
  const uri = await suite.pushed()
  const at = openBrowser(server)
  t.ok((await suite.visit(uri, { at })).away?.params.has('code'))
  userGetsError(t, await at.open(suite.authorizeUrl(uri)))
})

t.test(
  'par-attempt-to-use-expired-request_uri: it is good for less than 600 s (FAPI 2.0 §5.3.2.2-12)',
  async (t) => {
    const answer = await suite.push()
    const { request_uri, expires_in } = answer.json()
    t.ok(expires_in >= 5 && expires_in < 600)
    clock.tick(expires_in)
    userGetsError(t, await openBrowser(server).open(suite.authorizeUrl(request_uri)))
  },
)

t.test('par-attempt-to-use-request_uri-for-different-client', async (t) => {
  const uri = await suite.pushed()
  userGetsError(t, await openBrowser(server).open(suite.authorizeUrl(uri, second)))
})

t.test('par-authorization-request-containing-request_uri-form-param: PAR refuses it', async (t) => {
  const answer = await suite.push({ request_uri: 'urn:ietf:params:oauth:request_uri:x' })
  t.same(outcome(answer), [400, 'invalid_request'])
})

t.test('par-attempt-invalid-http-method: PAR is POST only', async (t) => {
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH'] as const) {
    const answer = await server.inject({ method, url: PAR })
    t.same([answer.statusCode, answer.headers.allow], [405, 'POST'], method)
  }
})

t.test(
  'par-ensure-pkce-required, par-plain-pkce-rejected: PAR refuses a request without S256 (FAPI 2.0 §5.3.2.2-5; docs/security.md O156)',
  async (t) => {
    const wrong = [
      { code_challenge: undefined, code_challenge_method: undefined },
      { code_challenge: VERIFIER, code_challenge_method: 'plain' },
      { code_challenge: CHALLENGE, code_challenge_method: undefined },
    ]
    for (const overrides of wrong) {
      t.same(outcome(await suite.push(overrides)), [400, 'invalid_request'], JSON.stringify(overrides))
    }
  },
)

t.test('ensure-pkce-code-verifier-required, incorrect-pkce-code-verifier-rejected', async (t) => {
  const code = await suite.codeFor()
  for (const code_verifier of ['', 'x'.repeat(43)]) {
    t.same(outcome(await suite.redeem(code, { form: { code_verifier } })), [400, 'invalid_grant'])
  }
  t.equal((await suite.redeem(code)).statusCode, 200)
})

t.test(
  'par-without-duplicate-parameters: client_id and request_uri are enough at the authorization endpoint',
  async (t) => {
    const at = openBrowser(server)
    const url = `${AUTHORIZE}?${new URLSearchParams({ client_id: first.id, request_uri: await suite.pushed() })}`
    t.ok((await completePages(at, await at.open(url))).away?.params.has('code'))
  },
)

t.test(
  'a client without the profile is as before: its refresh tokens rotate, and RS256 is accepted',
  async (t) => {
    const key = clientKey('RS256', 'plain')
    await server.store.clients.insert({
      ...(await server.store.clients.find(first.id)),
      id: 'plain',
      profile: null,
      requireDpop: false,
      jwks: { keys: [key.jwk] },
    } as never)
    await server.poll()
    const signed = assertion({ client: 'plain', key, audience: ISSUER, now: clock.now() })
    const answer = await post(server, TOKEN, {
      grant_type: 'refresh_token',
      refresh_token: 'x',
      ...asserting(signed),
    })
    refused(t, answer, { error: 'invalid_grant' })
  },
)
