import t, { type Test } from 'tap'
import { brandingOf } from '../../src/http/app-parts.ts'
import { pageRoutes } from '../../src/http/pages/index.ts'
import { METHOD_NAMES, usesCertificate } from '../../src/oauth/client-auth/index.ts'
import { CLIENT_ALGORITHMS } from '../../src/oauth/client-registration/client-jwks.ts'
import { GRANT_NAMES } from '../../src/oauth/grants/index.ts'
import { freshCode, redeem, seedUsers, tokensOf } from '../support/browser/sign-in.ts'
import { listen } from '../support/server/listen.ts'
import { exchange } from '../support/server/raw-socket.ts'
import { claimsOf, clientCredentials, post, tokenRequest } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const OAUTH = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

async function start(t: Test, issuer = ISSUER) {
  const server = await testServer({ settings: { ISSUER: issuer } })
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

let shared: TestServer | undefined
/** The server with the usual issuer, for tests that only read the document. */
const plain = async () => {
  shared ??= await start(t)
  return shared
}

t.test(
  'both metadata documents are identical, 200 and JSON (RFC 8414 §3.2; docs/security.md K117, H96)',
  async (t) => {
    const server = await plain()
    const [oauth, openid] = await Promise.all([server.inject({ url: OAUTH }), server.inject({ url: OPENID })])
    t.same(oauth.json(), openid.json())
    for (const { statusCode, headers } of [oauth, openid]) {
      t.equal(statusCode, 200)
      t.match(headers['content-type'], /^application\/json(;|$)/)
      t.equal(headers['cache-control'], 'public, max-age=300')
      t.equal(headers['access-control-allow-origin'], '*')
    }
  },
)

/** Endpoints for browsers, not for clients. */
const BROWSER_ENDPOINTS = ['authorization_endpoint', 'end_session_endpoint']

t.test(
  'every metadata member has the type of RFC 8414, and no list is empty (RFC 8414 §3.3, RFC 8414 §2; docs/security.md K118, K119)',
  async (t) => {
    const metadata = (await (await plain()).inject({ url: OAUTH })).json()
    t.equal(metadata.issuer, ISSUER)
    t.same(metadata.grant_types_supported, GRANT_NAMES)
    for (const [name, value] of Object.entries(metadata)) {
      if (typeof value === 'boolean') {
        t.match(name, /_supported$/)
      } else if (name === 'issuer' || name === 'jwks_uri' || name.endsWith('_endpoint')) {
        t.ok(String(value).startsWith(ISSUER), `${name} is below the issuer`)
      } else {
        t.ok(Array.isArray(value) && value.length > 0, `${name} is a list that is not empty`)
        t.equal(new Set(value as string[]).size, (value as string[]).length, `${name} has no duplicates`)
        t.match(name, /_supported$/)
      }
      if (name.endsWith('auth_signing_alg_values_supported')) t.same(value, CLIENT_ALGORITHMS)
      if (name.endsWith('signing_alg_values_supported')) {
        // Neither none nor a symmetric algorithm, which would make a public key a secret (RFC 8725 §3.1).
        for (const alg of value as string[]) t.match(alg, /^(RS|PS|ES)256$|^Ed(DSA|25519)$/, name)
      }
      if (name.endsWith('auth_methods_supported') && (value as string[]).includes('private_key_jwt')) {
        t.ok(metadata[name.replace('methods', 'signing_alg_values')], `${name} comes with its algorithms`)
      }
    }
    t.same(
      metadata.token_endpoint_auth_methods_supported,
      METHOD_NAMES.filter((name) => !usesCertificate(name)),
      'no certificate can arrive here',
    )
    t.notOk(metadata.introspection_endpoint_auth_methods_supported.includes('none'))
  },
)

t.test(
  'the metadata has all required and recommended members of OpenID Connect Discovery (OpenID Connect Discovery §3; docs/security.md M143)',
  async (t) => {
    const metadata = (await (await plain()).inject({ url: OPENID })).json()
    t.match(metadata, {
      authorization_endpoint: `${ISSUER}/oauth2/authorize`,
      token_endpoint: `${ISSUER}/oauth2/token`,
      userinfo_endpoint: `${ISSUER}/oauth2/userinfo`,
      end_session_endpoint: `${ISSUER}/oauth2/logout`,
      pushed_authorization_request_endpoint: `${ISSUER}/oauth2/par`,
      jwks_uri: `${ISSUER}/.well-known/jwks.json`,
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'form_post', 'jwt', 'query.jwt', 'form_post.jwt'],
      subject_types_supported: ['public'],
      // An OpenID client must refuse a server that does not announce this.
      code_challenge_methods_supported: ['S256'],
      claims_parameter_supported: true,
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    })
    t.ok(metadata.id_token_signing_alg_values_supported.includes('RS256'))
    for (const scope of metadata.scopes_supported) t.match(scope, /^[\x21\x23-\x5B\x5D-\x7E]+$/)
    for (const scope of ['openid', 'profile', 'email', 'roles', 'offline_access']) {
      t.ok(metadata.scopes_supported.includes(scope), scope)
    }
    for (const locale of metadata.ui_locales_supported) t.equal(Intl.getCanonicalLocales(locale)[0], locale)
  },
)

t.test(
  'the metadata has no unregistered authentication methods, and announces iss (RFC 8414 §2, RFC 9207 §3; docs/security.md K119)',
  async (t) => {
    const metadata = (await (await plain()).inject({ url: OAUTH })).json()
    t.equal(metadata.authorization_response_iss_parameter_supported, true, 'RFC 9207 §3')
    // RFC 9126 §2: clients authenticate at the PAR endpoint as at the token endpoint.
    t.same(
      Object.keys(metadata).filter((name) => name.includes('endpoint_auth_')),
      ['token', 'revocation', 'introspection'].flatMap((name) => [
        `${name}_endpoint_auth_methods_supported`,
        `${name}_endpoint_auth_signing_alg_values_supported`,
      ]),
    )
    t.notOk(metadata.require_pushed_authorization_requests, 'only single clients may require it')
    t.notOk('userinfo_endpoint_auth_methods_supported' in metadata, 'no client authenticates there')
    t.notOk('registration_endpoint' in metadata, 'the endpoint does not exist')
  },
)

t.test(
  'claims_supported lists exactly the claims of tokens and userinfo (OpenID Connect Discovery §3; docs/security.md M143)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    const { alice } = await seedUsers(server.store)
    await server.store.users.update(alice.id, (one) => ({
      ...one,
      name: 'A',
      ...{ givenName: 'A', familyName: 'B', locale: 'en', zoneinfo: 'UTC' },
      email: 'a@example.test',
      emailVerified: true,
      updatedAt: 1,
    }))
    const code = await freshCode(server, { scope: 'openid profile email roles' })
    const tokens = tokensOf(await redeem(server, code))
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    const info = (await server.inject({ url: '/oauth2/userinfo', headers })).json()
    const metadata = (await server.inject({ url: OPENID })).json()
    const receivedClaims = [...new Set([...Object.keys(claimsOf(tokens.id_token)), ...Object.keys(info)])]
    t.same([...metadata.claims_supported].sort(), receivedClaims.sort())
  },
)

t.test(
  'every listed endpoint exists, and every listed grant is known (RFC 8414 §3.3; docs/security.md K118)',
  async (t) => {
    const server = await plain()
    const metadata = (await server.inject({ url: OAUTH })).json()
    for (const name of Object.keys(metadata).filter((name) => name.endsWith('_endpoint'))) {
      const { pathname: url } = new URL(metadata[name])
      if (BROWSER_ENDPOINTS.includes(name)) {
        const page = await server.inject({ url })
        t.match(page.headers['content-type'], /^text\/html/, name)
        t.ok(page.statusCode === 200 || page.statusCode === 400, `${name}: ${page.statusCode}`)
        continue
      }
      const answer = await post(server, url, {})
      if (answer.statusCode === 405)
        t.equal((await server.inject({ url })).statusCode, 200, `${name} is for GET`)
      else t.ok(answer.statusCode === 400 || answer.statusCode === 401, `${name}: ${answer.statusCode}`)
    }
    t.equal((await server.inject({ url: new URL(metadata.jwks_uri).pathname })).statusCode, 200)
    for (const grant_type of metadata.grant_types_supported) {
      const { error } = (await tokenRequest(server, { grant_type }, 'app')).json()
      t.not(error, 'unsupported_grant_type', grant_type)
    }
  },
)

/** Every route, from the tree that the router prints. */
function pathsOf({ app }: TestServer): string[] {
  const above: string[] = []
  return [...app.printRoutes({ commonPrefix: false }).matchAll(/^([│ ]*[├└]── )(\S+)( \(.*\))?/gm)].flatMap(
    ([, indent = '', segment = '', methods]) => {
      const depth = indent.length / 4 - 1
      above.splice(depth, above.length, segment)
      return methods === undefined ? [] : [above.join('')]
    },
  )
}

t.test(
  'every protocol endpoint is listed in the metadata (RFC 8414 §3.3; docs/security.md K118)',
  async (t) => {
    const server = await plain()
    const metadata = (await server.inject({ url: OAUTH })).json()
    const listed = Object.values(metadata).map(String)
    const paths = pathsOf(server)
    t.ok(
      paths.includes('/oauth2/token') && paths.includes('/login/second-factor'),
      'the routes could be read',
    )
    const pages = [...pageRoutes(server.deps), ...brandingOf(server.config).files].map(({ path }) => path)
    const unlisted = paths.filter((path) => !listed.includes(ISSUER + path) && !pages.includes(path))
    // The administration has a document and pages of its own. What is below a star is printed without what is before it.
    const administration = ['/admin', '/admin*', '/*']
    const documents = [OAUTH, OPENID, '/health/live', '/health/ready', '/status-lists/:number']
    const others = [...documents, '/assets/client-logos/:hash']
    t.same(unlisted.filter((path) => !administration.includes(path)).sort(), others.sort())
    const protocol = pages.filter((path) => path.startsWith('/oauth2/') && !listed.includes(ISSUER + path))
    t.same(protocol, ['/oauth2/logout/confirm'])
  },
)

t.test(
  'with an issuer path, both documents are at both places: the path before or behind the well-known part (RFC 8414 §3.1, §5, OpenID Connect Discovery §4; docs/security.md K117)',
  async (t) => {
    for (const issuer of ['https://example.test/tenant1', 'https://example.test/a/b']) {
      const server = await start(t, issuer)
      const { pathname } = new URL(issuer)
      for (const url of [OAUTH + pathname, pathname + OPENID, pathname + OAUTH, OPENID + pathname]) {
        const answer = await server.inject({ url })
        t.equal(answer.statusCode, 200, url)
        t.equal(answer.json().issuer, issuer)
        t.equal(answer.json().token_endpoint, `${issuer}/oauth2/token`)
      }
      for (const url of [OAUTH, OPENID, '/.well-known/jwks.json', '/oauth2/token']) {
        t.equal((await server.inject({ url })).statusCode, 404, `${url} belongs to another issuer`)
      }
      const jwks = await server.inject({ url: `${pathname}/.well-known/jwks.json` })
      t.equal(jwks.statusCode, 200)
      const { authorization } = { authorization: `Basic ${Buffer.from('machine:x').toString('base64')}` }
      const token = await post(server, `${pathname}/oauth2/token`, { grant_type: 'x' }, { authorization })
      t.equal(token.statusCode, 401, 'the token endpoint is below the issuer')
      t.equal(
        (await server.inject({ url: '/health/live' })).statusCode,
        200,
        'probes are independent of the issuer',
      )
    }
  },
)

t.test(
  'a trailing slash of the issuer is kept and never doubled (RFC 8414 §3.1, RFC 8414 §3.3; docs/security.md K117, K118)',
  async (t) => {
    for (const issuer of ['https://example.test/', 'https://example.test/tenant1/']) {
      const server = await start(t, issuer)
      const path = new URL(issuer).pathname.replace(/\/$/, '')
      for (const url of [OAUTH + path, path + OPENID]) {
        const metadata = (await server.inject({ url })).json()
        t.equal(metadata.issuer, issuer)
        t.equal(metadata.jwks_uri, `${issuer}.well-known/jwks.json`)
        t.equal(metadata.token_endpoint, `${issuer}oauth2/token`)
      }
    }
    const server = await start(t, 'https://example.test/')
    t.equal(claimsOf((await clientCredentials(server)).json().access_token).iss, 'https://example.test/')
  },
)

/** What a proxy, or an attacker posing as one, may say about the origin of a request. */
const FORWARDED = {
  'x-forwarded-host': 'evil.test',
  'x-forwarded-proto': 'http',
  'x-forwarded-port': '666',
  'x-forwarded-prefix': '/evil',
  'x-forwarded-server': 'evil.test',
  'x-original-url': '/evil',
  'x-rewrite-url': '/evil',
  'x-host': 'evil.test',
  forwarded: 'for=1.2.3.4;host=evil.test;proto=http',
}

t.test('no request header changes a URL or the issuer (RFC 8414 §3.3; docs/security.md K118)', async (t) => {
  for (const TRUST_PROXY of ['off', 'on', '1']) {
    const server = await testServer({ settings: { TRUST_PROXY } })
    t.teardown(() => server.close())
    await seed(server.store)
    const expected = await server.inject({ url: OAUTH })
    for (const [name, value] of [...Object.entries(FORWARDED), ['host', 'evil.test']] as const) {
      const headers = { [name]: value }
      for (const url of [OAUTH, OPENID]) {
        t.equal((await server.inject({ url, headers })).body, expected.body, `${name}, proxy ${TRUST_PROXY}`)
      }
      const token = await post(
        server,
        '/oauth2/token',
        { grant_type: 'client_credentials' },
        { ...headers, authorization: `Basic ${Buffer.from('machine:wrong').toString('base64')}` },
      )
      t.notMatch(JSON.stringify([token.headers, token.body]), /evil/, name)
    }
    const good = await clientCredentials(server)
    t.equal(claimsOf(good.json().access_token).iss, ISSUER)
  }
})

t.test(
  'a missing, unexpected or repeated Host header does not change the metadata (RFC 8414 §3.3; docs/security.md K118)',
  async (t) => {
    const { port, issuer } = await listen(t)
    const ask = (...lines: string[]) =>
      exchange(port, [[`GET ${OAUTH} HTTP/1.1`, ...lines, 'connection: close', '', ''].join('\r\n')])
    for (const lines of [
      ['host: evil.test'],
      ['host: evil.test:99999'],
      ['host: a@evil.test'],
      ['host: "><script>'],
      ['host:'],
      ['host: one.test', 'host: two.test'],
    ]) {
      const answer = await ask(...lines)
      if (answer.status === 400) continue
      t.equal(answer.status, 200, lines.join())
      t.match(JSON.parse(answer.body), { issuer, token_endpoint: `${issuer}/oauth2/token` }, lines.join())
    }
  },
)

t.test(
  'the metadata has the endpoints of the port for client certificates (RFC 8705 §3.3, §5)',
  async (t) => {
    const tls = { TLS_CERT_FILE: 'server.pem', TLS_KEY_FILE: 'server.key', MTLS_PORT: '8444' }
    const read = async (settings: Record<string, string>) => {
      const server = await testServer({ settings })
      t.teardown(() => server.close())
      return (await server.inject({ url: OPENID })).json()
    }
    const direct = await read(tls)
    t.same(direct.mtls_endpoint_aliases, {
      token_endpoint: 'https://issuer.test:8444/oauth2/token',
      revocation_endpoint: 'https://issuer.test:8444/oauth2/revoke',
      introspection_endpoint: 'https://issuer.test:8444/oauth2/introspect',
      pushed_authorization_request_endpoint: 'https://issuer.test:8444/oauth2/par',
      userinfo_endpoint: 'https://issuer.test:8444/oauth2/userinfo',
    })
    t.equal(direct.tls_client_certificate_bound_access_tokens, true)
    t.same(direct.token_endpoint_auth_methods_supported, METHOD_NAMES)
    const proxied = await read({ TRUST_PROXY: 'on' })
    t.equal(proxied.tls_client_certificate_bound_access_tokens, true, 'a proxy may pass certificates on')
    t.notOk('mtls_endpoint_aliases' in proxied)
    const path = await testServer({ settings: { ...tls, ISSUER: 'https://issuer.test:8443/a' } })
    t.teardown(() => path.close())
    const { mtls_endpoint_aliases: aliases } = (await path.inject({ url: `/a${OPENID}` })).json()
    t.equal(aliases.token_endpoint, 'https://issuer.test:8444/a/oauth2/token')
  },
)
