/**
 * oidc-provider, configured for JWT access tokens of one API as in its documentation, with its in-memory adapter and without a
 * log. Started by bench/run.ts. It has no password grant, so refresh tokens are created with its models. Its login page is
 * minimal and checks the password as Keyturn does.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import { hashPassword, verifyPassword } from '../../src/accounts/password.ts'
import { API, CALLBACK, CLIENT_ID, LIFETIME, PASSWORD, type Ready, RSA_BITS, SCOPE } from '../subject.ts'

const [, , alg = 'RS256'] = process.argv
const secret = 'x'.repeat(54)
const accountId = 'u_benchbenchbenchbenchbenchbe'
const { privateKey } = await generateKeyPair(alg, { modulusLength: RSA_BITS, extractable: true })

const { createServer } = await import('node:http')
const server = createServer((request, response) => handleRequest(request, response))
server.listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg, use: 'sig' }] },
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: secret,
      grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: alg,
    },
  ],
  findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ['bench'] },
  interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
  async loadExistingGrant({ oidc: { client, session } }: Context) {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
    grant.addOIDCScope('openid')
    grant.addResourceScope(API, SCOPE)
    await grant.save()
    return grant
  },
  rotateRefreshToken: true,
  ttl: { ClientCredentials: LIFETIME, AccessToken: LIFETIME, RefreshToken: 86_400, Grant: 86_400 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPE,
        audience: API,
        accessTokenTTL: LIFETIME,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg } },
      }),
    },
  },
})
const handle = provider.callback()
const passwordHash = await hashPassword(PASSWORD)

interface Context {
  readonly oidc: {
    readonly client: { readonly clientId: string }
    readonly session: { readonly accountId: string }
  }
}

const handleRequest: RequestListener = (request, response) => {
  if (!request.url?.startsWith('/interaction/')) return handle(request, response)
  if (request.method === 'GET') {
    const page = `<!doctype html><title>Sign in</title><form method="post" action="${request.url}">
<input name="username"><input type="password" name="password"><button>Sign in</button></form>`
    return response.writeHead(200, { 'content-type': 'text/html' }).end(page)
  }
  signIn(request, response).catch((error) => response.writeHead(500).end(String(error)))
}

async function signIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request) body += chunk
  const form = new URLSearchParams(body)
  const { ok } = await verifyPassword(passwordHash, form.get('password') ?? '')
  if (!ok) return void response.writeHead(400).end()
  const login = { accountId: form.get('username') ?? '' }
  await provider.interactionFinished(request, response, { login })
}

async function refreshToken(): Promise<string> {
  const client = await provider.Client.find(CLIENT_ID)
  const grant = new provider.Grant({ accountId, clientId: CLIENT_ID })
  grant.addResourceScope(API, SCOPE)
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId: await grant.save(),
    scope: SCOPE,
    resource: API,
    claims: {},
    authTime: Math.floor(Date.now() / 1000),
    gty: 'authorization_code',
  })
  return token.save()
}

process.on('message', async ({ refreshTokens }: { refreshTokens: number }) => {
  process.send?.(await Promise.all(Array.from({ length: refreshTokens }, refreshToken)))
})
process.send?.({
  issuer,
  authorizeUrl: `${issuer}/auth`,
  tokenUrl: `${issuer}/token`,
  jwksUrl: `${issuer}/jwks`,
  secret,
} satisfies Ready)
process.once('SIGTERM', () => process.exit())
