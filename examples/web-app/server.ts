/** A web app that users sign in to. The browser has a cookie; the tokens stay on this server, which calls the orders API. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
// In a project of your own: from '@keyturn/browser-session'.
import { BrowserSessionError, browserSession } from '../../packages/browser-session/index.ts'
import { ordersApi } from './orders-api.ts'
import { errorPage, homePage, welcomePage } from './pages.ts'

const { ISSUER = 'http://localhost:3000', ORDERS_API = 'http://localhost:4000', PORT = '4002' } = process.env
const { BASE_URL = `http://localhost:${PORT}`, CLIENT_ID = '', CLIENT_SECRET = '' } = process.env
if (CLIENT_ID === '' || CLIENT_SECRET === '') {
  console.error('CLIENT_ID and CLIENT_SECRET are required: node --env-file=web.env server.ts (see README.md)')
  process.exit(2)
}

const app = Fastify({ logger: { level: 'warn' } })
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
}
app.addHook('onRequest', async (_, reply) => {
  reply.headers(headers)
})

// The handler is set before the plugin is registered, so that it applies to the plugin's routes too.
app.setErrorHandler((error, request, reply) => {
  if (!(error instanceof BrowserSessionError)) return reply.send(error)
  // The issuer ended the session: an administrator, a new password, or a logout on another device.
  if (error.code === 'SESSION_ENDED' && request.method === 'GET') return reply.redirect('/', 302)
  // The user sees that it failed, and the log says why. The whole cause is not logged, because it may contain tokens.
  const { code, message } = (error.cause ?? {}) as { code?: unknown; message?: unknown }
  request.log.warn({ code: error.code, cause: { code, message } }, error.message)
  if (request.method !== 'GET') return reply.status(error.statusCode).send({ error: error.message })
  reply.status(error.statusCode).headers(headers).type('text/html; charset=utf-8')
  return reply.send(errorPage(error.message))
})

await app.register(browserSession, {
  issuer: ISSUER,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  // Sessions are kept in memory, so a restart ends them anyway. With a store of your own, set a permanent secret.
  secret: process.env.SESSION_SECRET ?? randomBytes(32),
  baseUrl: BASE_URL,
  scopes: ['profile', 'orders:read', 'orders:write'],
  // Requests the user's name in the ID token, so that the userinfo endpoint is not needed.
  authorizationParameters: { claims: '{"id_token":{"name":null,"preferred_username":null}}' },
})

const orders = ordersApi(ORDERS_API)
const assets = { '/app.js': 'text/javascript', '/app.css': 'text/css' }
for (const [path, type] of Object.entries(assets)) {
  const file = readFileSync(new URL(`.${path}`, import.meta.url))
  app.get(path, (_, reply) => reply.type(`${type}; charset=utf-8`).send(file))
}

app.get('/', async ({ browserSession: session }, reply) => {
  reply.type('text/html; charset=utf-8')
  if (session === null) return welcomePage()
  const { claims, scope = '' } = session
  const name = String(claims.name ?? claims.preferred_username ?? claims.sub)
  const user = { name, accountUrl: `${ISSUER}/account` }
  return homePage(user, await orders.list(await session.accessToken()), scope.split(' '))
})

const orderSchema = {
  type: 'object',
  required: ['item'],
  properties: { item: { type: 'string', minLength: 1, maxLength: 100 } },
}
app.post<{ Body: { item: string } }>(
  '/orders',
  { onRequest: app.requireSession(), schema: { body: orderSchema } },
  async ({ browserSession: session, body }) => {
    const token = await session?.accessToken()
    const { error } = await orders.add(token ?? '', body.item)
    return error === undefined ? { next: '/' } : { error }
  },
)

await app.listen({ port: Number(PORT) })
console.log(`web app on ${BASE_URL}`)
