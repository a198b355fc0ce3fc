import { createPublicKey } from 'node:crypto'
import { createRemoteJWKSet, importPKCS8, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import t from 'tap'
import { base64url, clientKey, compact } from '../support/server/jws.ts'
import { listen } from '../support/server/listen.ts'
import { claimsOf, clientCredentials } from '../support/server/requests.ts'
import { client, ORDERS, PASSWORD, SECRET, seed } from '../support/server/seed.ts'
import { isActive } from '../support/server/tokens.ts'
import { type Jwks, verifyAccessToken } from './rfc7515-verifier.ts'

const { server, issuer } = await listen(t)
await seed(server.store)
const key = clientKey('ES256')
await server.store.clients.insert(
  client({ id: 'signer', authMethod: 'private_key_jwt', jwks: { keys: [key.jwk] } }),
)

const jwksUri = new URL(`${issuer}/.well-known/jwks.json`)
const fetchJwks = async () => (await (await fetch(jwksUri)).json()) as Jwks
const newToken = async (): Promise<string> => (await clientCredentials(server)).json().access_token
const insecure = { [oauth.allowInsecureRequests]: true } as const

t.test('tokens verify with jose and the JWKS over HTTP', async (t) => {
  const keys = createRemoteJWKSet(jwksUri)
  const expected = { issuer, audience: ORDERS, typ: 'at+jwt', algorithms: ['RS256'], requiredClaims: ['jti'] }
  const { payload } = await jwtVerify(await newToken(), keys, expected)
  t.equal(payload.sub, 'machine')
  for (const wrong of [{ issuer: `${issuer}/` }, { audience: issuer }, { typ: 'JWT' }]) {
    await t.rejects(jwtVerify(await newToken(), keys, { ...expected, ...wrong }))
  }
})

t.test('tokens verify with node:crypto and RFC 7515 alone', async (t) => {
  const jwks = await fetchJwks()
  const token = await newToken()
  const now = server.clock.now()
  const expected = { issuer, audience: ORDERS, now }
  t.equal(verifyAccessToken(token, jwks, expected).sub, 'machine')
  const [header = '', payload = '', signature = ''] = token.split('.')
  const other = base64url(JSON.stringify({ ...claimsOf(token), scope: 'admin' }))
  t.throws(() => verifyAccessToken(`${header}.${other}.${signature}`, jwks, expected), {
    message: 'signature',
  })
  t.throws(() => verifyAccessToken(token, jwks, { ...expected, now: now + 600 }), { message: 'exp' })
  t.throws(() => verifyAccessToken(token, jwks, { ...expected, audience: issuer }), { message: 'aud' })
  t.throws(() => verifyAccessToken(token, { keys: [] }, expected), { message: 'kid' })
  const unsigned = `${base64url(JSON.stringify({ alg: 'none', typ: 'at+jwt' }))}.${payload}.`
  t.throws(() => verifyAccessToken(unsigned, jwks, expected))
})

t.test(
  'a token signed HS256 with the public key is refused by every verifier (RFC 8725 §2.1, RFC 8725 §3.12; docs/security.md P37, H90)',
  async (t) => {
    const jwks = await fetchJwks()
    const good = await newToken()
    const [jwk] = jwks.keys
    if (!jwk?.n) throw new Error('no RSA key')
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    const secrets: Record<string, string | Buffer> = {
      PEM: publicKey.export({ type: 'spki', format: 'pem' }),
      'PEM, trimmed': publicKey.export({ type: 'spki', format: 'pem' }).toString().trim(),
      DER: publicKey.export({ type: 'spki', format: 'der' }),
      'PKCS#1 PEM': publicKey.export({ type: 'pkcs1', format: 'pem' }),
      'JWK text': JSON.stringify(jwk),
      modulus: jwk.n,
      'modulus octets': Buffer.from(jwk.n, 'base64url'),
    }
    const keys = createRemoteJWKSet(jwksUri)
    for (const [what, secret] of Object.entries(secrets)) {
      for (const alg of ['HS256', 'RS256']) {
        const header = { alg, typ: 'at+jwt', kid: jwk.kid }
        const forged = compact(header, claimsOf(good), secret, 'HS256')
        const expected = { issuer, audience: ORDERS, now: server.clock.now() }
        t.throws(() => verifyAccessToken(forged, jwks, expected), `${what} as ${alg}: node:crypto`)
        await t.rejects(jwtVerify(forged, keys, { issuer, audience: ORDERS }), `${what} as ${alg}: jose`)
        t.equal(await isActive(server, forged, 'machine'), false, `${what} as ${alg}: our introspection`)
      }
    }
  },
)

for (const algorithm of ['oauth2', 'oidc'] as const) {
  t.test(
    `oauth4webapi discovers the server by its ${algorithm} metadata and accepts its tokens`,
    async (t) => {
      const found = await oauth.discoveryRequest(new URL(issuer), { algorithm, ...insecure })
      const as = await oauth.processDiscoveryResponse(new URL(issuer), found)
      t.equal(as.token_endpoint, `${issuer}/oauth2/token`)

      const signingKey = await importPKCS8(
        key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        'ES256',
      )
      const methods: Record<string, oauth.ClientAuth> = {
        machine: oauth.ClientSecretBasic(SECRET),
        poster: oauth.ClientSecretPost(SECRET),
        signer: oauth.PrivateKeyJwt({ key: signingKey as oauth.CryptoKey, kid: key.kid }),
      }
      for (const [id, authentication] of Object.entries(methods)) {
        const self = { client_id: id }
        const answer = await oauth.clientCredentialsGrantRequest(
          as,
          self,
          authentication,
          { scope: 'orders:read', resource: ORDERS },
          insecure,
        )
        const { access_token: token, scope } = await oauth.processClientCredentialsResponse(as, self, answer)
        t.equal(scope, 'orders:read')

        const request = new Request(ORDERS, { headers: { authorization: `Bearer ${token}` } })
        const claims = await oauth.validateJwtAccessToken(as, request, ORDERS, insecure)
        t.match(claims, { sub: id, client_id: id, scope: 'orders:read' })
        await t.rejects(
          oauth.validateJwtAccessToken(as, request, issuer, insecure),
          `${id}: another audience`,
        )

        const asked = await oauth.introspectionRequest(as, self, authentication, token, insecure)
        const state = await oauth.processIntrospectionResponse(as, self, asked)
        t.match(state, { active: true, client_id: id })
        const revoked = await oauth.revocationRequest(as, self, authentication, token, insecure)
        await oauth.processRevocationResponse(revoked)
        t.equal(await isActive(server, token, 'machine'), false)
      }
    },
  )
}

t.test('oauth4webapi parses error responses (RFC 6749 §5.2)', async (t) => {
  const as = { issuer, token_endpoint: `${issuer}/oauth2/token` }
  const self = { client_id: 'machine' }
  const wrong = oauth.ClientSecretBasic('wrong')
  const answer = await oauth.clientCredentialsGrantRequest(as, self, wrong, {}, insecure)
  await t.rejects(oauth.processClientCredentialsResponse(as, self, answer), {
    name: 'WWWAuthenticateChallengeError',
    status: 401,
  })
  const right = oauth.ClientSecretBasic(SECRET)
  const unknown = await oauth.clientCredentialsGrantRequest(as, self, right, { scope: 'zz' }, insecure)
  await t.rejects(oauth.processClientCredentialsResponse(as, self, unknown), {
    name: 'ResponseBodyError',
    error: 'invalid_scope',
  })
})

for (const algorithm of ['oauth2', 'oidc'] as const) {
  t.test(
    `openid-client discovers the server by its ${algorithm} metadata: tokens, refresh and revocation work`,
    async (t) => {
      const discover = (id: string, authentication: oidc.ClientAuth) =>
        oidc.discovery(new URL(issuer), id, undefined, authentication, {
          algorithm,
          execute: [oidc.allowInsecureRequests],
        })
      const machine = await discover('machine', oidc.ClientSecretBasic(SECRET))
      const granted = await oidc.clientCredentialsGrant(machine, { scope: 'orders:read' })
      t.match(granted, { scope: 'orders:read', expires_in: 600 })

      const clients: Record<string, oidc.ClientAuth> = {
        app: oidc.ClientSecretBasic(SECRET),
        phone: oidc.None(),
      }
      for (const [id, authentication] of Object.entries(clients)) {
        const config = await discover(id, authentication)
        const signedIn = await oidc.genericGrantRequest(config, 'password', {
          username: 'alice',
          password: PASSWORD,
        })
        const next = await oidc.refreshTokenGrant(config, String(signedIn.refresh_token))
        t.ok(next.refresh_token)
        t.not(next.refresh_token, signedIn.refresh_token)
        await oidc.tokenRevocation(config, String(next.refresh_token))
        await t.rejects(oidc.refreshTokenGrant(config, String(next.refresh_token)), {
          name: 'ResponseBodyError',
          error: 'invalid_grant',
        })
      }
      const state = await oidc.tokenIntrospection(machine, granted.access_token)
      t.match(state, { active: true, sub: 'machine' })
    },
  )
}
