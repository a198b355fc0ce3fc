/** Why a request was refused: the audit trail says it exactly, and no client learns it (docs/audit.md). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { type FailureDetail, failureDetails } from '../../src/audit/failure-details.ts'
import { sendFailure } from '../../src/http/failures.ts'
import { tokenChallenge } from '../../src/http/token-challenge.ts'
import { deliver, errorFields } from '../../src/oauth/authorize/response.ts'
import { OAuthError } from '../../src/oauth/errors.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { openBrowser } from '../support/browser/browser.ts'
import {
  AUTHORIZE,
  authorizeParams,
  authorizeUrl,
  codeClient,
  freshCode,
  type Overrides,
  OWN_REDIRECT,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
  VERIFIER,
} from '../support/browser/sign-in.ts'
import { type CertificateOptions, testAuthority } from '../support/certificates.ts'
import { type WrongProof, wrongProofs, wrongTokenHashes } from '../support/dpop/proofs.ts'
import { dpopSender } from '../support/dpop/sender.ts'
import { overHttp } from '../support/server/http-inject.ts'
import { asserting, assertion, clientKey, compact } from '../support/server/jws.ts'
import { basic, claimsOf, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { client, ORDERS, STOCK, user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { introspect, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

// A proxy passes certificates on, and their chain is checked.
const authority = await testAuthority()
const authorities = join(t.testdir(), 'clients.pem')
writeFileSync(authorities, authority.cert)
const server = await testServer({
  settings: { DPOP_NONCE: 'on', TRUST_PROXY: 'loopback', TLS_CLIENT_CA_FILE: authorities },
})
t.teardown(() => server.close())
const { store, clock } = server
const { alice } = await seedUsers(store)
const key = clientKey('ES256')
const jwks = { keys: [key.jwk] }
const OWN = { firstParty: true, redirectUris: [OWN_REDIRECT] }
for (const one of [
  client({ id: 'signer', authMethod: 'private_key_jwt', jwks }),
  client({ id: 'remote', authMethod: 'private_key_jwt', jwksUri: 'http://127.0.0.1:1/jwks.json' }),
  client({
    id: 'certified',
    authMethod: 'tls_client_auth',
    tlsSubject: { kind: 'san_dns', value: 'certified.example' },
  }),
  client({ id: 'certificate-bound', requireMtlsBound: true }),
  client({ id: 'off', disabled: true }),
  client({ id: 'keeper', scopes: ['admin:keys'] }),
  client({ id: 'maker', scopes: ['admin:clients'] }),
  client({ id: 'both', scopes: ['orders:read', 'stock:read'] }),
  client({ id: 'careful', grants: ['password'], requireSecondFactor: true }),
  client({ id: 'strict', requireDpop: true }),
  client({ id: 'other-app', grants: ['password', 'refresh_token'] }),
  codeClient({ id: 'signing', ...OWN, jwks }),
  codeClient({ id: 'own-too', ...OWN }),
  codeClient({ id: 'off-page', ...OWN, disabled: true }),
] satisfies Client[]) {
  await store.clients.insert(one)
}
await store.users.insert(await user({ username: 'carol', disabled: true }))
await server.poll()

const token = (form: Record<string, string>, headers: Record<string, string> = {}) =>
  post(server, '/oauth2/token', { grant_type: 'client_credentials', ...form }, headers)
const withBasic = (header: string) => token({}, { authorization: header })

const OUTDATED = { notBefore: new Date('2026-01-01'), notAfter: new Date('2026-01-02') }

/** A client certificate that is good except for the change. */
async function certified(options: CertificateOptions, by = authority) {
  const { base64 } = await by.issue({ dns: ['certified.example'], ...options })
  return token({ client_id: 'certified' }, { 'client-cert': `:${base64}:` })
}

/** A client assertion that is good except for the change. */
function asserted(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, by = key) {
  const made = { client: 'signer', key: { ...by, kid: key.kid }, audience: ISSUER, now: clock.now() }
  return token(asserting(assertion({ ...made, claims, header })))
}

/** A pushed request object that is good except for the change. */
function pushedObject(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, by = key) {
  const now = clock.now()
  const parameters = Object.fromEntries(authorizeParams({ client_id: 'signing', redirect_uri: OWN_REDIRECT }))
  const payload = { iss: 'signing', aud: ISSUER, exp: now + 60, iat: now, ...parameters, ...claims }
  const head = { alg: key.alg, kid: key.kid, typ: 'oauth-authz-req+jwt', ...header }
  return pushed({ request: compact(head, payload, by.privateKey, key.alg) }, 'signing')
}
const pushed = (form: Record<string, string>, as: string) =>
  post(server, '/oauth2/par', form, { authorization: basic(as) })

async function reference(): Promise<string> {
  const form = Object.fromEntries(authorizeParams({ client_id: 'own' }))
  return (await pushed(form, 'own')).json().request_uri
}
const byReference = (request_uri: string, client_id = 'own') =>
  server.inject({
    url: `${AUTHORIZE}?${new URLSearchParams({ client_id, request_uri, redirect_uri: OWN_REDIRECT })}`,
  })

/** What the authorization endpoint answers to a browser in which alice is signed in, or to one without a session. */
async function silently(overrides: Overrides, signedInFor?: number) {
  const browser = openBrowser(server)
  if (signedInFor !== undefined) await signIn(browser, { client_id: 'own' })
  clock.tick(signedInFor ?? 0)
  const page = await browser.open(authorizeUrl({ client_id: 'own', prompt: 'none', ...overrides }))
  return { statusCode: page.status, body: page.away?.url ?? page.body, headers: page.headers }
}

const ownCode = () => freshCode(server, { client_id: 'own' })
const redeemed = async (form: Record<string, string> = {}, as = 'own', code?: string) =>
  redeem(server, code ?? (await ownCode()), { as, form: { redirect_uri: OWN_REDIRECT, ...form } })

// Over HTTP, because only there can a header field be sent twice.
const dpop = dpopSender({
  ...overHttp(await server.app.listen({ host: '127.0.0.1', port: 0 })),
  clock,
  config: server.config,
})
const withNonce = async () => ({ nonce: String((await dpop.machine()).headers['dpop-nonce']) })
const boundToken = async (): Promise<string> => (await dpop.machine(await withNonce())).json().access_token

const userinfo = (accessToken: string) =>
  server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${accessToken}` } })

const administration = (accessToken: string) =>
  server.inject({ url: '/admin/v1/roles', headers: { authorization: `Bearer ${accessToken}` } })

async function hintOf(username: string): Promise<string> {
  const code = await freshCode(server, { client_id: 'own', scope: 'openid' }, { username })
  return tokensOf(await redeem(server, code, { as: 'own' })).id_token
}

/** Runs `work` while a verb of the store finds that something was deleted. */
async function withConcurrentDeletion<T>(work: () => Promise<T>): Promise<T> {
  const { insert } = store.clientSessions
  Object.assign(store.clientSessions, { insert: async () => false })
  try {
    return await work()
  } finally {
    Object.assign(store.clientSessions, { insert })
  }
}

type Answer = Pick<LightMyRequestResponse, 'statusCode' | 'body' | 'headers'>
type Case = readonly [detail: FailureDetail, make: () => Promise<Answer>]

const { refresh_token: otherToken } = await signedIn(server, {}, 'other-app')
const stranger = clientKey('ES256')
const farFuture = () => clock.now() + 100_000

/** Cases below one heading must get the same answer, to the byte. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  'client authentication by Authorization': [
    ['malformed_credentials', () => withBasic('Basic !')],
    ['unknown_client', () => withBasic(basic('nobody'))],
    ['client_disabled', () => withBasic(basic('off'))],
    ['wrong_auth_method', () => withBasic(basic('signer'))],
    ['wrong_secret', () => withBasic(basic('machine', 'wrong'))],
  ],
  'client authentication in the form': [
    ['no_client_authentication', () => token({})],
    ['assertion_malformed', () => token(asserting('x.y.z'))],
    ['assertion_wrong_type', () => asserted({}, { typ: 'at+jwt' })],
    ['assertion_wrong_algorithm', () => asserted({}, { alg: 'HS256' })],
    ['assertion_unknown_key', () => asserted({}, { kid: 'other' })],
    ['assertion_wrong_signature', () => asserted({}, {}, stranger)],
    ['assertion_wrong_issuer', () => asserted({ iss: 'machine' })],
    ['assertion_wrong_audience', () => asserted({ aud: 'https://other.test' })],
    ['assertion_missing_claim', () => asserted({ jti: undefined })],
    ['assertion_expired', () => asserted({ exp: clock.now() - 100 })],
    ['assertion_not_yet_valid', () => asserted({ nbf: clock.now() + 100 })],
    ['assertion_too_long_lived', () => asserted({ exp: farFuture() })],
    ['certificate_missing', () => token({ client_id: 'certified' })],
    ['certificate_expired', () => certified(OUTDATED)],
    ['certificate_untrusted', async () => certified({}, await testAuthority())],
    ['certificate_mismatch', () => certified({ dns: ['other.example'] })],
    [
      'assertion_replayed',
      async () => {
        await asserted({ jti: 'once' })
        return asserted({ jti: 'once' })
      },
    ],
  ],
  'introspection by a public client': [['public_client', () => introspect(server, 'x', 'phone')]],
  'keys of a client': [
    [
      'client_keys_unavailable',
      () => token(asserting(assertion({ client: 'remote', key, audience: ISSUER, now: clock.now() }))),
    ],
  ],
  'the grant of a client': [
    ['grant_not_registered', () => login(server, {}, 'machine')],
    ['public_client', () => publicClientCredentials()],
  ],
  'a code that is not the client’s': [
    ['unknown_code', () => redeemed({}, 'own', 'ktc_x')],
    ['other_client', () => redeemed({}, 'own-too')],
  ],
  'a wrong verifier': [['pkce_mismatch', () => redeemed({ code_verifier: `${VERIFIER}x` })]],
  'no verifier': [['pkce_missing', () => redeemed({ code_verifier: '' })]],
  'another redirect URI': [['redirect_uri_mismatch', () => redeemed({ redirect_uri: 'https://x.test/' })]],
  'a used code': [
    [
      'code_replayed',
      async () => {
        const code = await ownCode()
        await redeemed({}, 'own', code)
        return redeemed({}, 'own', code)
      },
    ],
  ],
  'a guessed code': [
    [
      'code_guessed',
      async () => {
        const code = await ownCode()
        for (let i = 0; i < 5; i += 1) await redeemed({ code_verifier: `${VERIFIER}x` }, 'own', code)
        return redeemed({}, 'own', code)
      },
    ],
  ],
  'an old code': [
    [
      'code_expired',
      async () => {
        const code = await ownCode()
        clock.tick(61)
        return redeemed({}, 'own', code)
      },
    ],
  ],
  'a code of a session that has ended': [
    [
      'signed_out',
      async () => {
        const code = await ownCode()
        for (const { id } of await store.userSessions.list(alice.id, clock.now())) {
          await store.userSessions.end(id, clock.now(), 'test')
        }
        return redeemed({}, 'own', code)
      },
    ],
  ],
  'a revoked code': [
    [
      'code_revoked',
      async () => {
        const code = await ownCode()
        await store.clientSessions.revokeMatching({ clientId: 'own' }, clock.now(), 'test')
        return redeemed({}, 'own', code)
      },
    ],
  ],
  'wrong credentials of a user': [
    ['unknown_user', () => login(server, { username: 'nobody' })],
    ['wrong_password', () => login(server, { password: 'wrong' })],
    ['user_disabled', () => login(server, { username: 'carol' })],
  ],
  'a second factor': [['second_factor_required', () => login(server, {}, 'careful')]],
  'a deleted client': [['changed_meanwhile', () => withConcurrentDeletion(() => login(server))]],
  'a refresh token': [
    ['unknown_token', () => refresh(server, 'ktr.made.up')],
    ['other_client', () => refresh(server, otherToken)],
    [
      'refresh_expired',
      async () => {
        const { refresh_token: old } = await signedIn(server)
        clock.tick(40 * 86_400)
        await refresh(server, old)
        return refresh(server, old)
      },
    ],
    [
      'refresh_revoked',
      async () => {
        const { refresh_token: ended } = await signedIn(server)
        await revoke(server, ended)
        return refresh(server, ended)
      },
    ],
    [
      'refresh_replayed',
      async () => {
        const { refresh_token: first } = await signedIn(server)
        await refreshed(server, (await refreshed(server, first)).refresh_token)
        return refresh(server, first)
      },
    ],
    [
      'sender_mismatch',
      () => afterSql(`UPDATE client_sessions SET confirmation = '{"jkt":"key"}' WHERE id = $1`),
    ],
    ['refresh_unknown_session', () => afterSql('DELETE FROM client_sessions WHERE id = $1')],
    ['refresh_ahead', () => afterSql('UPDATE client_sessions SET generation = 1 WHERE id = $1')],
  ],
  ...dpopCases(),
  'a certificate that is missing': [
    ['certificate_required', () => clientCredentials(server, {}, 'certificate-bound')],
  ],
  'a DPoP proof that is missing': [['dpop_required', () => clientCredentials(server, {}, 'strict')]],
  'a bound access token without its key': [
    ['bound_token_as_bearer', async () => userinfo(await boundToken())],
  ],
  'an access token of another key': [
    ['sender_mismatch', async () => dpopSender(server).userinfo(await boundToken(), await withNonce())],
  ],
  'an access token of no key with the scheme DPoP': [
    ['token_not_bound', async () => dpop.userinfo((await clientCredentials(server)).json().access_token)],
  ],
  'scopes that cannot be granted': [
    ['scope_not_registered', () => clientCredentials(server, { scope: 'x' })],
    ['scope_not_in_roles', () => login(server, { username: 'bob', scope: 'orders:read' })],
    [
      'scope_of_another_api',
      () => clientCredentials(server, { scope: 'orders:read', resource: STOCK }, 'both'),
    ],
  ],
  'an access token at userinfo': [
    ['unknown_token', () => userinfo('x')],
    [
      'token_expired',
      async () => {
        const { access_token: old } = await signedIn(server)
        clock.tick(86_400)
        return userinfo(old)
      },
    ],
    [
      'token_revoked',
      async () => {
        const { access_token: revoked } = await signedIn(server)
        await revoke(server, revoked)
        return userinfo(revoked)
      },
    ],
    [
      'rights_withdrawn',
      async () => {
        const { access_token: withdrawn } = await signedIn(server)
        const orders = (await store.apis.list()).find(({ identifier }) => identifier === ORDERS)
        if (!orders) throw new Error('there is no API')
        await store.apis.delete(ORDERS)
        await server.poll()
        const answer = await userinfo(withdrawn)
        await store.apis.insert(orders)
        await server.poll()
        return answer
      },
    ],
    [
      'api_deleted',
      async () => {
        const { access_token: old } = await signedIn(server)
        const orders = (await store.apis.list()).find(({ identifier }) => identifier === ORDERS)
        if (!orders) throw new Error('there is no API')
        await store.apis.delete(ORDERS)
        await store.apis.insert({ ...orders, createdAt: server.clock.now() + 1 })
        await server.poll()
        const answer = await userinfo(old)
        await store.apis.delete(ORDERS)
        await store.apis.insert(orders)
        await server.poll()
        return answer
      },
    ],
    [
      'session_ended',
      async () => {
        const { access_token: orphan, refresh_token: session } = await signedIn(server)
        await revoke(server, session)
        return userinfo(orphan)
      },
    ],
  ],
  'an access token without openid': [
    ['no_user', async () => userinfo((await clientCredentials(server)).json().access_token)],
    ['openid_missing', async () => userinfo((await signedIn(server)).access_token)],
  ],
  'an access token for another API': [
    ['audience_mismatch', async () => administration((await clientCredentials(server)).json().access_token)],
  ],
  'an access token for the administration without the scope of the request': [
    [
      'scope_missing',
      async () => administration((await token({}, { authorization: basic('keeper') })).json().access_token),
    ],
  ],
  'an administrator who wants to give a scope of the administration that it does not have': [
    [
      'right_missing',
      async () => {
        const { access_token } = (await token({}, { authorization: basic('maker') })).json()
        return server.inject({
          method: 'POST',
          url: '/admin/v1/roles',
          headers: { authorization: `Bearer ${access_token}` },
          payload: { name: 'mine', scopes: ['admin:users'] },
        })
      },
    ],
  ],
  'a user without the role at the console': [
    [
      'role_missing',
      async () => {
        const browser = openBrowser(server)
        await signIn(browser, { client_id: 'own' })
        const { status: statusCode, body, headers } = await browser.open('/admin/roles')
        return { statusCode, body, headers }
      },
    ],
  ],
  'a pushed request': [
    ['unknown_request_uri', () => byReference('urn:ietf:params:oauth:request_uri:x')],
    [
      'request_uri_expired',
      async () => {
        const old = await reference()
        clock.tick(1000)
        return byReference(old)
      },
    ],
    [
      'request_uri_used',
      async () => {
        const used = await reference()
        const browser = openBrowser(server)
        await signIn(
          browser,
          {},
          { url: `${AUTHORIZE}?${new URLSearchParams({ client_id: 'own', request_uri: used })}` },
        )
        return byReference(used)
      },
    ],
    ['other_client', async () => byReference(await reference(), 'own-too')],
  ],
  'a request object': [
    ['request_object_malformed', () => pushed({ request: 'x' }, 'signing')],
    ['request_object_wrong_type', () => pushedObject({}, { typ: 'at+jwt' })],
    ['request_object_wrong_algorithm', () => pushedObject({}, { alg: 'HS256' })],
    ['request_object_unknown_key', () => pushedObject({}, { kid: 'other' })],
    ['request_object_wrong_signature', () => pushedObject({}, {}, stranger)],
    ['request_object_wrong_issuer', () => pushedObject({ iss: 'machine' })],
    ['request_object_wrong_audience', () => pushedObject({ aud: 'https://other.test' })],
    ['request_object_missing_claim', () => pushedObject({ exp: undefined })],
    ['request_object_expired', () => pushedObject({ exp: clock.now() - 100 })],
    ['request_object_not_yet_valid', () => pushedObject({ nbf: clock.now() + 100 })],
    ['request_object_too_long_lived', () => pushedObject({ exp: farFuture() })],
    ['request_object_wrong_client', () => pushedObject({ client_id: 'machine' })],
    ['request_object_is_assertion', () => pushedObject({ sub: 'signing' })],
    ['request_object_wrong_parameters', () => pushedObject({ scope: ['openid'] })],
  ],
  'a request without a page, for which the user must sign in': [
    ['not_signed_in', () => silently({})],
    ['sign_in_too_old', () => silently({ max_age: '10' }, 60)],
    ['other_user', async () => silently({ id_token_hint: await hintOf('bob') }, 0)],
  ],
  'a hint': [
    ['unknown_hint', () => silently({ id_token_hint: 'x.y.z' })],
    [
      'other_client',
      async () =>
        silently({ client_id: 'own-too', redirect_uri: OWN_REDIRECT, id_token_hint: await hintOf('alice') }),
    ],
  ],
}

/** A registration that the commands refuse: a public client with the client credentials grant. */
async function publicClientCredentials() {
  if (!(await store.clients.find('bare')))
    await store.clients.insert(client({ id: 'bare', authMethod: 'none' }))
  return token({ client_id: 'bare' })
}

/** A refresh after the store was changed below a session that has been refreshed once. */
async function afterSql(sql: string) {
  const { access_token, refresh_token: first } = await signedIn(server)
  const { refresh_token: second } = await refreshed(server, first)
  await store.db.batch([{ sql, params: [String(claimsOf(access_token).sid)] }])
  return refresh(server, second)
}

/** The first proof in the table for each way of being wrong, each with an answer of its own. */
function dpopCases(): Record<string, readonly Case[]> {
  const rows: readonly WrongProof[] = [...Object.values(wrongProofs), ...Object.values(wrongTokenHashes)]
  const first = new Map(rows.toReversed().map((row) => [row.problem, row]))
  const wrong = [...first.values()].map(({ problem, fields }): [string, readonly Case[]] => [
    `a DPoP proof: ${problem}`,
    [[`dpop_${problem}`, async () => dpop.userinfo(await boundToken(), { make: fields })]],
  ])
  return {
    ...Object.fromEntries(wrong),
    'a DPoP proof that was used': [
      [
        'dpop_replayed',
        async () => {
          const sending = { ...(await withNonce()), change: { claims: { jti: 'used' } } }
          await dpop.machine(sending)
          return dpop.machine(sending)
        },
      ],
    ],
    'a DPoP proof with an unknown nonce': [['dpop_unknown_nonce', () => dpop.machine({ nonce: 'x' })]],
    'a DPoP proof without a nonce': [['dpop_no_nonce', () => dpop.machine()]],
  }
}

/** Everything that a client sees, except the random cookie that a new browser gets. */
function seen({ statusCode, body, headers }: Answer) {
  const { date, 'x-request-id': id, 'set-cookie': cookie, ...rest } = headers
  return { statusCode, body, headers: rest }
}

for (const [heading, cases] of Object.entries(CASES)) {
  t.test(`${heading}: the audit trail has the reason, and the client gets one answer`, async (t) => {
    let first: ReturnType<typeof seen> | undefined
    for (const [detail, make] of cases) {
      const before = server.logger.audited.length
      const answer = await make()
      const audited = server.logger.audited.slice(before)
      const last = audited.filter(({ audit }) => audit.endsWith('.refused')).at(-1)
      t.match(last, { detail }, `${detail}: ${JSON.stringify(last)}`)
      t.notMatch(JSON.stringify(seen(answer)), detail, `${detail} is not in the answer`)
      first ??= seen(answer)
      t.same(seen(answer), first, `${detail}: the same answer`)
    }
  })
}

t.test('every detail is produced by a case', async (t) => {
  const produced = new Set<string>(Object.values(CASES).flatMap((cases) => cases.map(([detail]) => detail)))
  t.same(
    Object.keys(failureDetails).filter((detail) => !produced.has(detail)),
    [],
  )
})

t.test('failed logins and failed client authentication say why, too', async (t) => {
  const details = (event: 'login.failed' | 'client.authentication_failed') =>
    new Set(server.logger.audited.filter(({ audit }) => audit === event).map(({ detail }) => detail))
  t.same(details('login.failed'), new Set(['unknown_user', 'wrong_password', 'user_disabled']))
  t.ok(details('client.authentication_failed').has('wrong_secret'))
  t.ok(details('client.authentication_failed').has('assertion_expired'))
})

t.test(
  'a page for an unknown and for a disabled client is the same, and the log says which it was',
  async (t) => {
    const pages = []
    for (const [detail, id] of [
      ['unknown_client', 'nobody'],
      ['client_disabled', 'off-page'],
    ] as const) {
      const from = server.logger.lines.length
      const { statusCode, body } = await server.inject({
        url: authorizeUrl({ client_id: id, redirect_uri: OWN_REDIRECT }),
      })
      t.match(
        server.logger.lines.slice(from).find(({ message }) => message === 'request refused'),
        { level: 'debug', fields: { detail } },
      )
      // Except for the id of the request, which the page shows.
      pages.push([statusCode, body.replace(/<code>[\w-]{27}<\/code>/, '')])
    }
    t.same(pages[0], pages[1])
  },
)

t.test('no kind of response reveals a detail to a client', async (t) => {
  const ways = (detail?: FailureDetail) => {
    const error = new OAuthError('invalid_grant', 'refused', { detail })
    const sent: unknown[] = []
    const reply = new Proxy({} as Record<string, unknown>, {
      get: (_, name) => (value: unknown, more?: unknown) => {
        sent.push([name, value, more])
        return reply
      },
    })
    const request = { id: 'r', headers: {}, log: { debug() {}, error() {} } }
    sendFailure(error, request as never, reply as never)
    const redirect = { client: {}, redirectUri: 'https://a.test', redirectUriSent: true, state: 's' }
    return [
      sent,
      tokenChallenge(undefined, error),
      tokenChallenge('DPoP x', error),
      deliver({ ...redirect, responseMode: 'query' }, errorFields(redirect as never, error, ISSUER)),
      deliver({ ...redirect, responseMode: 'form_post' }, errorFields(redirect as never, error, ISSUER)),
    ]
  }
  for (const detail of Object.keys(failureDetails) as FailureDetail[]) t.same(ways(detail), ways(), detail)
})
