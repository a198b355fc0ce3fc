/** Mutual TLS (RFC 8705) with real connections and certificates: who is authenticated, and what stolen tokens are worth. */
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Client } from '../../src/store/contracts/clients.ts'
import { codeClient, freshCode, SPA_REDIRECT, VERIFIER } from '../support/browser/sign-in.ts'
import { selfSigned, type TestCertificate, testAuthority } from '../support/certificates.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { claimsOf, type Form } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import type { TestServerOptions } from '../support/server/server.ts'
import { type TlsServer, tlsServer } from '../support/server/tls.ts'

type Certificate = Pick<TestCertificate, 'cert' | 'key'>

const SHOP = 'spiffe://example.org/shop'
const shop = (overrides: Partial<Client> = {}) =>
  client({
    id: 'shop',
    authMethod: 'tls_client_auth',
    tlsSubject: { kind: 'san_uri', value: SHOP },
    introspects: [],
    ...overrides,
  })

async function serverWith(
  t: Test,
  clients: readonly Client[],
  options: TestServerOptions = {},
): Promise<TlsServer> {
  const tls = await tlsServer(t, options)
  await seed(tls.server.store)
  for (const one of clients) await tls.server.store.clients.insert(one)
  await tls.server.poll()
  return tls
}

/** The response to a form at the port that asks for certificates, or at another base. */
async function post(
  tls: TlsServer,
  path: string,
  form: Form,
  certificate?: Certificate,
  { base = tls.mtls, headers = {} }: { base?: string; headers?: Record<string, string> } = {},
) {
  const response = await tls.fetch(certificate)(`${base}/oauth2/${path}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form as Record<string, string>),
  })
  const text = await response.text()
  return { status: response.status, ...(text === '' ? {} : JSON.parse(text)) }
}

const credentials = (id = 'shop') => ({ client_id: id, grant_type: 'client_credentials' })
const REFUSED = { status: 401, error: 'invalid_client' }

/** The details of the refusals so far. */
const details = ({ server }: TlsServer) =>
  server.logger.audits('client.authentication_failed').map(({ detail }) => detail)

t.test(
  'a client is authenticated by the subject that an authority vouches for (RFC 8705 §2.1)',
  async (t) => {
    const tls = await serverWith(t as Test, [
      shop(),
      shop({ id: 'bank', tlsSubject: { kind: 'subject_dn', value: 'CN=bank,O=Example' } }),
    ])
    const { authority } = tls
    const own = await authority.issue({ uri: [SHOP] })
    const issued = await post(tls, 'token', credentials(), own)
    t.match(issued, { status: 200, token_type: 'Bearer' })
    t.match(claimsOf(issued.access_token), { client_id: 'shop', cnf: { 'x5t#S256': own.thumbprint } })

    const intermediate = await authority.intermediate()
    const byIntermediate = await intermediate.issue({ uri: [SHOP] })
    t.match(await post(tls, 'token', credentials(), byIntermediate), { status: 200 })
    const bank = await authority.issue({ subject: [{ O: ['Example'] }, { CN: ['bank'] }] })
    t.match(await post(tls, 'token', credentials('bank'), bank), { status: 200 })
  },
)

t.test(
  'no other certificate authenticates it, at any endpoint (CVE-2023-2422; RFC 8705 §2.1; docs/security.md X1, P33)',
  async (t) => {
    const tls = await serverWith(t as Test, [
      shop(),
      shop({ id: 'bank', tlsSubject: { kind: 'san_dns', value: 'bank.example' } }),
    ])
    const { authority } = tls
    const other = await testAuthority()
    const hidden = await (await authority.intermediate()).issue({ uri: [SHOP] })
    const wrong: readonly (readonly [string, Certificate | undefined, string])[] = [
      ['no certificate', undefined, 'certificate_missing'],
      ['of another client', await authority.issue({ dns: ['bank.example'] }), 'certificate_mismatch'],
      ['of another authority', await other.issue({ uri: [SHOP] }), 'certificate_untrusted'],
      ['self-signed', await selfSigned({ uri: [SHOP] }), 'certificate_untrusted'],
      ['for servers', await authority.issue({ uri: [SHOP], usages: ['server'] }), 'certificate_untrusted'],
      [
        'without its intermediate',
        { ...hidden, cert: hidden.cert.slice(0, hidden.cert.indexOf('-----END') + 26) },
        'certificate_untrusted',
      ],
    ]
    for (const [title, certificate, detail] of wrong) {
      for (const path of ['token', 'introspect', 'revoke', 'par']) {
        const refused = await post(tls, path, { ...credentials(), token: 'x' }, certificate)
        t.match(refused, REFUSED, `${title} at ${path}`)
        t.equal(details(tls).at(-1), detail, title)
      }
    }
  },
)

t.test('the port without certificates authenticates no client by one', async (t) => {
  const tls = await serverWith(t as Test, [shop()])
  const own = await tls.authority.issue({ uri: [SHOP] })
  t.match(await post(tls, 'token', credentials(), own, { base: tls.issuer }), REFUSED)
})

t.test('the clock of the server decides whether a certificate is valid (docs/security.md X2)', async (t) => {
  const tls = await serverWith(t as Test, [shop()])
  const own = await tls.authority.issue({ uri: [SHOP] })
  t.match(await post(tls, 'token', credentials(), own), { status: 200 })
  tls.server.clock.tick(2 * 3600)
  await tls.server.poll()
  t.match(await post(tls, 'token', credentials(), own), REFUSED)
  t.equal(details(tls).at(-1), 'certificate_expired')
})

t.test('several methods in one request are refused (RFC 6749 §2.3)', async (t) => {
  const key = clientKey('ES256')
  const signer = client({ id: 'signer', authMethod: 'private_key_jwt', jwks: { keys: [key.jwk] } })
  const tls = await serverWith(t as Test, [shop(), signer])
  const own = await tls.authority.issue({ uri: [SHOP] })
  const now = tls.server.clock.now()
  const signed = asserting(assertion({ client: 'signer', key, audience: tls.issuer, now }))
  t.match(
    await post(tls, 'token', { grant_type: 'client_credentials', ...signed }, own),
    { status: 200 },
    'a certificate is no second method',
  )
  t.match(
    await post(tls, 'token', { ...credentials(), ...signed }, own),
    { status: 400, error: 'invalid_request' },
    'two clients',
  )
  t.match(await post(tls, 'token', { ...credentials(), client_secret: 'x' }, own), REFUSED)
})

t.test('new authorities are trusted without a restart, and those that were removed are not', async (t) => {
  const tls = await serverWith(t as Test, [shop()])
  const [before, next] = [await tls.authority.issue({ uri: [SHOP] }), await testAuthority()]
  const after = await next.issue({ uri: [SHOP] })
  t.match(await post(tls, 'token', credentials(), after), REFUSED)
  writeFileSync(tls.settings.TLS_CLIENT_CA_FILE, next.cert)
  t.match(await post(tls, 'token', credentials(), after), { status: 200 })
  t.match(await post(tls, 'token', credentials(), before), REFUSED)
  writeFileSync(tls.settings.TLS_CLIENT_CA_FILE, 'no certificate')
  for (let i = 0; i < 3; i += 1) t.match(await post(tls, 'token', credentials(), after), { status: 200 })
  t.equal(tls.server.logger.lines.filter(({ level }) => level === 'error').length, 1)
})

t.test(
  'a self-signed certificate that is registered authenticates, and no other (RFC 8705 §2.2)',
  async (t) => {
    const own = await selfSigned()
    const published = { keys: [{ ...own.jwk, kid: 'one' }] }
    const method = { authMethod: 'self_signed_tls_client_auth' } as const
    let fetched = published
    const tls = await serverWith(
      t as Test,
      [
        client({ id: 'registered', ...method, jwks: published }),
        client({ id: 'fetched', ...method, jwksUri: 'https://client.test/jwks.json' }),
      ],
      { fetchJwks: async () => fetched as never },
    )
    const sameKey = await selfSigned({ keys: own.keys })
    for (const id of ['registered', 'fetched']) {
      const issued = await post(tls, 'token', credentials(id), own)
      t.match(claimsOf(issued.access_token), { cnf: { 'x5t#S256': own.thumbprint } }, id)
      t.match(await post(tls, 'token', credentials(id), await selfSigned()), REFUSED)
      t.match(await post(tls, 'token', credentials(id), sameKey), REFUSED, 'another certificate of the key')
      t.match(await post(tls, 'token', credentials(id), await tls.authority.issue()), REFUSED)
      t.match(await post(tls, 'token', credentials(id)), REFUSED)
    }
    const renewed = await selfSigned()
    fetched = { keys: [{ ...renewed.jwk, kid: 'two' }] }
    t.match(
      await post(tls, 'token', credentials('fetched'), renewed),
      REFUSED,
      'the keys were fetched a moment ago',
    )
    tls.server.clock.tick(60)
    t.match(await post(tls, 'token', credentials('fetched'), renewed), { status: 200 })
    t.match(await post(tls, 'token', credentials('fetched'), own), REFUSED)
  },
)

t.test(
  'a stolen access token is worth nothing without the certificate (RFC 8705 §3; docs/security.md X4)',
  async (t) => {
    const tls = await serverWith(t as Test, [
      shop({ scopes: ['admin:read'], introspects: ['https://issuer.test'] }),
      codeClient({
        id: 'own',
        firstParty: true,
        redirectUris: ['https://own.test/callback'],
        authMethod: 'tls_client_auth',
        tlsSubject: { kind: 'san_dns', value: 'own.example' },
      }),
    ])
    const [certificate, other] = [
      await tls.authority.issue({ dns: ['own.example'] }),
      await tls.authority.issue(),
    ]
    const code = await freshCode(tls.server, { client_id: 'own' })
    const form = {
      client_id: 'own',
      grant_type: 'authorization_code',
      code,
      redirect_uri: 'https://own.test/callback',
      code_verifier: VERIFIER,
    }
    t.match(await post(tls, 'token', form, other), REFUSED, 'the code')
    const tokens = await post(tls, 'token', form, certificate)
    t.match(tokens, { status: 200, token_type: 'Bearer' })

    const userinfo = (token: string, by?: Certificate, base = tls.mtls) =>
      tls.fetch(by)(`${base}/oauth2/userinfo`, { headers: { authorization: `Bearer ${token}` } })
    t.equal((await userinfo(tokens.access_token, certificate)).status, 200)
    for (const [title, answer] of [
      ['another certificate', await userinfo(tokens.access_token, other)],
      ['no certificate', await userinfo(tokens.access_token)],
      ['the other port', await userinfo(tokens.access_token, certificate, tls.issuer)],
    ] as const) {
      t.equal(answer.status, 401, title)
      t.match(answer.headers.get('www-authenticate'), /error="invalid_token"/, title)
    }
    t.match(
      tls.server.logger.audits('userinfo.refused').map(({ detail }) => detail),
      ['sender_mismatch', 'sender_mismatch', 'sender_mismatch'],
    )

    const refresh = { client_id: 'own', grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    t.match(await post(tls, 'token', refresh, other), REFUSED, 'the refresh token')
    const renewed = await tls.authority.issue({ dns: ['own.example'] })
    const refreshed = await post(tls, 'token', refresh, renewed)
    t.match(
      claimsOf(refreshed.access_token).cnf,
      { 'x5t#S256': renewed.thumbprint },
      'bound to the certificate of the refresh',
    )
    t.equal((await userinfo(refreshed.access_token, certificate)).status, 401)
    t.match(await post(tls, 'introspect', { client_id: 'own', token: refreshed.access_token }, renewed), {
      active: true,
      token_type: 'Bearer',
      cnf: { 'x5t#S256': renewed.thumbprint },
    })
  },
)

t.test('the administration accepts a bound token only with its certificate', async (t) => {
  const tls = await serverWith(t as Test, [shop({ scopes: ['admin:read'] })])
  const own = await tls.authority.issue({ uri: [SHOP] })
  const { access_token: token } = await post(tls, 'token', credentials(), own)
  const roles = (by?: Certificate, base = tls.mtls) =>
    tls.fetch(by)(`${base}/admin/v1/roles`, { headers: { authorization: `Bearer ${token}` } })
  t.equal((await roles(own)).status, 200)
  t.equal((await roles()).status, 401)
  t.equal((await roles(await tls.authority.issue())).status, 401)
  t.equal((await roles(own, tls.issuer)).status, 401)
})

t.test(
  'the tokens of a public client are bound, the refresh token too (RFC 8705 §4; docs/security.md X4)',
  async (t) => {
    const phone = codeClient({
      id: 'phone2',
      authMethod: 'none',
      redirectUris: [SPA_REDIRECT],
      firstParty: true,
      requireMtlsBound: true,
    })
    const tls = await serverWith(t as Test, [phone])
    const [own, other] = [await selfSigned(), await selfSigned()]
    const code = await freshCode(tls.server, { client_id: 'phone2', redirect_uri: SPA_REDIRECT })
    const form = {
      client_id: 'phone2',
      grant_type: 'authorization_code',
      code,
      redirect_uri: SPA_REDIRECT,
      code_verifier: VERIFIER,
    }
    t.match(await post(tls, 'token', form), { status: 400, error: 'invalid_request' }, 'it must present one')
    const tokens = await post(tls, 'token', form, own)
    t.match(claimsOf(tokens.access_token).cnf, { 'x5t#S256': own.thumbprint })
    const refresh = (token: string, by?: Certificate) =>
      post(tls, 'token', { client_id: 'phone2', grant_type: 'refresh_token', refresh_token: token }, by)
    t.match(await refresh(tokens.refresh_token, other), { status: 400, error: 'invalid_grant' })
    t.match(await refresh(tokens.refresh_token), { status: 400, error: 'invalid_request' })
    const next = await refresh(tokens.refresh_token, own)
    t.match(next, { status: 200 }, 'the thief has ended nothing')
    t.match(
      await refresh(next.refresh_token, other),
      { status: 400, error: 'invalid_grant' },
      'after a rotation',
    )
  },
)

t.test('tokens of a client with keys are bound if it is registered so (RFC 8705 §3.4)', async (t) => {
  const key = clientKey('ES256')
  const signing = { authMethod: 'private_key_jwt', jwks: { keys: [key.jwk] } } as const
  const tls = await serverWith(t as Test, [
    client({ id: 'bound', ...signing, requireMtlsBound: true }),
    client({ id: 'plain', ...signing }),
  ])
  const own = await selfSigned()
  const request = (id: string, by?: Certificate) => {
    const signed = asserting(
      assertion({ client: id, key, audience: tls.issuer, now: tls.server.clock.now() }),
    )
    return post(tls, 'token', { grant_type: 'client_credentials', ...signed }, by)
  }
  t.match(claimsOf((await request('bound', own)).access_token).cnf, { 'x5t#S256': own.thumbprint })
  t.match(await request('bound'), { status: 400, error: 'invalid_request' })
  t.equal(claimsOf((await request('plain', own)).access_token).cnf, undefined)
  const old = await selfSigned({ notBefore: new Date('2026-01-01'), notAfter: new Date('2026-01-02') })
  t.match(await request('bound', old), { status: 400, error: 'invalid_request' }, 'an expired certificate')
})
