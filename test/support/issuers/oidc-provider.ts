/**
 * For tests of @keyturn/browser-session: oidc-provider as an issuer that signs in any user, apps with the plugin in
 * any number of processes, and browsers. Everything uses real HTTP; browsers know the app as `https://app.example`.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import Provider from 'oidc-provider'
import type { Test } from 'tap'
import { type BrowserSessionOptions, browserSession } from '../../../packages/browser-session/index.ts'
import { type JarBrowser, jarBrowser } from '../browser/cookie-browser.ts'
import { HANG_MS } from '../server/waiting.ts'
import { type TestTime, testTime } from './fake-issuer.ts'

export const APP = 'https://app.example'
export const CLIENT_ID = 'web'
const CLIENT_SECRET = 'client-secret-of-the-web-app-0123456789'
export const TOKEN_SECONDS = 60
/** Headers of a request that a page of the app sends by script. */
export const SAME_ORIGIN_HEADERS = {
  'x-csrf': '1',
  origin: APP,
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
}

export const secret = (fill: number) => Buffer.alloc(32, fill)

type Handler = (request: IncomingMessage, response: ServerResponse, pass: () => void) => void

export interface OpenidIssuer {
  readonly origin: string
  /** Bodies sent to the token and revocation endpoints. */
  readonly refreshes: URLSearchParams[]
  readonly revocations: URLSearchParams[]
  /** Responses of the token endpoint. */
  readonly answers: Record<string, string>[]
  /** The user who signs in next. */
  account: string
  /** Replaces the issuer’s answer for a path. */
  readonly routes: Map<string, Handler>
}

interface OpenidWorld {
  readonly issuer: OpenidIssuer
  readonly time: TestTime
  /** One process of the app; browsers go to the first. */
  app(options?: Partial<BrowserSessionOptions>, before?: (app: FastifyInstance) => void): Promise<string>
  /** `process`: the app’s process that this browser talks to, if not the first. */
  browser(process?: string): JarBrowser
  /** A browser that went through the sign-in. */
  signedIn(process?: string): Promise<JarBrowser>
  /** The same cookies in another browser. */
  copyOf(browser: JarBrowser, process?: string): JarBrowser
}

interface Interactions {
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
  readonly Grant: (new (fields: object) => Grant) & { find(id: string): Promise<Grant | undefined> }
}

interface Grant {
  addOIDCScope(scope: string): void
  save(): Promise<string>
}

interface Context {
  oidc: {
    provider: Interactions
    client: { clientId: string }
    session: { accountId: string; grantIdFor(clientId: string): string | undefined }
  }
}

interface IssuerOptions {
  /** A used refresh token gets the same response again, as Keyturn answers within `REFRESH_GRACE`. */
  readonly window?: boolean
  readonly publicClient?: boolean
  /** The client's public key, for private_key_jwt. */
  readonly clientKey?: JWK
  /** Text that makes ID tokens long. */
  readonly bulk?: string
}

/** One for all issuers of a test file, since making it takes longer than any test. */
let signing: ReturnType<typeof generateKeyPair> | undefined

async function openidIssuer(
  t: Test,
  { window = false, publicClient = false, clientKey, bulk }: IssuerOptions,
) {
  let handle: RequestListener = () => {}
  const routes = new Map<string, Handler>()
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    const pass = () => handle(request, response)
    const route = routes.get(path)
    if (route === undefined) pass()
    else route(request, response, pass)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: OpenidIssuer = {
    origin,
    refreshes: [],
    revocations: [],
    answers: [],
    account: 'alice',
    routes,
  }
  signing ??= generateKeyPair('RS256', { extractable: true })
  const { privateKey } = await signing
  const provider = new Provider(origin, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'one' }] },
    clients: [
      {
        client_id: CLIENT_ID,
        ...(publicClient
          ? { token_endpoint_auth_method: 'none' }
          : clientKey === undefined
            ? { client_secret: CLIENT_SECRET }
            : { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [clientKey] } }),
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${APP}/auth/callback`],
        post_logout_redirect_uris: [`${APP}/`],
      },
    ],
    cookies: { keys: ['test'] },
    conformIdTokenClaims: false,
    claims: { openid: ['sub', 'name', 'bulk'] },
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} <b>`, ...(bulk === undefined ? {} : { bulk }) }),
    }),
    async loadExistingGrant({ oidc }: Context) {
      // One grant for a user and a client, as issuers with a consent page have it.
      const earlier = oidc.session.grantIdFor(oidc.client.clientId)
      const found = earlier === undefined ? undefined : await oidc.provider.Grant.find(earlier)
      if (found !== undefined) return found
      const grant = new oidc.provider.Grant({
        clientId: oidc.client.clientId,
        accountId: oidc.session.accountId,
      })
      grant.addOIDCScope('openid offline_access')
      await grant.save()
      return grant
    },
    interactions: { url: () => '/interaction' },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    pkce: { required: () => true },
    ttl: {
      AccessToken: TOKEN_SECONDS,
      RefreshToken: 86_400,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 600,
      Session: 600,
    },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
  })
  const interactive = provider as unknown as Interactions
  routes.set('/interaction', (request, response) => {
    interactive.interactionFinished(request, response, { login: { accountId: issuer.account } })
  })
  const answered = new Map<string, PromiseWithResolvers<[number, string]>>()
  const callback = provider.callback()
  handle = (request, response) => {
    if (request.url !== '/token' && request.url !== '/token/revocation') return callback(request, response)
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const body = new URLSearchParams(text)
      if (request.url === '/token/revocation') issuer.revocations.push(body)
      else if (body.get('grant_type') === 'refresh_token') issuer.refreshes.push(body)
      const used = window ? createHash('sha256').update(text).digest('hex') : ''
      const earlier = answered.get(used)
      if (earlier !== undefined) {
        earlier.promise.then(([status, answer]) => {
          response.writeHead(status, { 'content-type': 'application/json' }).end(answer)
        })
        return
      }
      // The response is remembered from the moment of the request, so that two concurrent requests get the same one.
      const first = Promise.withResolvers<[number, string]>()
      if (window && body.has('refresh_token')) answered.set(used, first)
      const end = response.end.bind(response)
      response.end = ((chunk?: unknown, ...rest: []) => {
        if (request.url === '/token' && chunk !== undefined) {
          const answer = String(chunk)
          issuer.answers.push(JSON.parse(answer))
          first.resolve([response.statusCode, answer])
        }
        return end(chunk, ...rest)
      }) as typeof response.end
      // oidc-provider takes a body that was already read from here.
      callback(Object.assign(request, { body: Object.fromEntries(body) }), response)
    })
  }
  return issuer
}

export async function openidWorld(t: Test, options: IssuerOptions = {}): Promise<OpenidWorld> {
  const issuer = await openidIssuer(t, options)
  const time = testTime(Math.floor(Date.now() / 1000))
  const processes: string[] = []

  const world: OpenidWorld = {
    issuer,
    time,
    async app(more = {}, before = () => {}) {
      const app = Fastify({ forceCloseConnections: true })
      before(app)
      await app.register(browserSession, {
        issuer: issuer.origin,
        clientId: CLIENT_ID,
        ...(options.publicClient || options.clientKey ? {} : { clientSecret: CLIENT_SECRET }),
        secret: secret(1),
        baseUrl: APP,
        scopes: ['offline_access'],
        authorizationParameters: { prompt: 'login' },
        clock: time.clocks.clock,
        timeoutMs: HANG_MS,
        ...more,
      })
      app.get('/', async () => 'start')
      app.get('/who', async (request) => request.browserSession?.claims.sub ?? 'nobody')
      app.post('/who', async (request) => request.browserSession?.claims.sub ?? 'nobody')
      // What a token was used for; the token itself stays here, and the test only learns which one it was.
      const used = async (request: { browserSession: { accessToken(): Promise<string> } | null }) => {
        const token = await request.browserSession?.accessToken()
        return { nth: issuer.answers.findIndex(({ access_token: given }) => given === token) }
      }
      app.get('/token', { onRequest: app.requireSession() }, used)
      app.post('/token', { onRequest: app.requireSession() }, used)
      app.get('/page', { onRequest: app.requireSession() }, async (_, reply) => {
        reply.header('cache-control', 'public, max-age=60')
        return 'page'
      })
      await app.listen({ port: 0, host: '127.0.0.1' })
      t.teardown(() => app.close())
      const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
      processes.push(origin)
      return origin
    },
    browser: (process) => jarBrowser(new Map([[APP, process ?? processes[0] ?? '']])),
    async signedIn(process) {
      const browser = world.browser(process)
      await browser.visit(`${APP}/auth/login`)
      return browser
    },
    copyOf(browser, process) {
      const copy = world.browser(process)
      for (const { name, value } of browser.cookies(APP).values()) copy.setCookie(APP, name, value)
      return copy
    },
  }
  return world
}
