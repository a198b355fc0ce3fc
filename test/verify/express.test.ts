import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import t, { type Test } from 'tap'
import {
  keyturnExpress,
  type Middleware,
  requireAcr,
  requireMaxAge,
  requireRole,
  requireScope,
} from '../../packages/verify/index.ts'
import { bearerGuards, type Call, callTo, type GuardedApp, MFA } from '../contracts/bearer-guards.ts'
import { dpopGuards } from '../contracts/dpop-guards.ts'
import { stepUpGuards } from '../contracts/step-up-guards.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'

async function served(t: Test, app: Parameters<typeof createServer>[1]): Promise<Call> {
  const server = createServer(app).listen(0)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return callTo((server.address() as AddressInfo).port)
}

/** Keeps Express from writing a stack trace to the console. */
function quiet(app: Express): Express {
  return app.set('env', 'test')
}

const guarded: GuardedApp = (t, verifier) => {
  const app = quiet(express())
  app.get('/open', (request, response) => void response.json({ sub: request.claims?.sub ?? null }))
  app.use(keyturnExpress({ verifier }))
  app.get('/any', (request, response) => void response.json({ sub: request.claims?.sub }))
  const routes: Record<string, Middleware> = {
    '/read': requireScope('orders:read'),
    '/both': requireScope('orders:read', 'orders:admin'),
    '/manager': requireRole('manager'),
    '/manager-writes': requireRole('manager', { scope: 'orders:write' }),
    '/mfa': requireAcr(...MFA),
    '/recent': requireMaxAge(300),
    '/recent-mfa': requireAcr(...MFA, { maxAge: 300 }),
  }
  for (const [path, guard] of Object.entries(routes))
    app.get(path, guard, (request, response) => void response.json({ sub: request.claims?.sub }))
  return served(t, app)
}

t.test('Express: bearer tokens', (t) => bearerGuards(t, guarded))
t.test('Express: DPoP', (t) => dpopGuards(t, guarded))
t.test('Express: levels of authentication', (t) => stepUpGuards(t, guarded))

t.test(
  'with required: false a request without a token passes without claims, and a bad token is still refused',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const app = quiet(express())
    app.use(keyturnExpress({ verifier: issuer.verifier(), required: false }))
    app.get('/open', (request, response) => void response.json({ sub: request.claims?.sub ?? null }))
    app.get('/read', requireScope('orders:read'), (_, response) => void response.json({}))
    const call = await served(t, app)
    const good = ['Authorization', `Bearer ${await issuer.token()}`]
    t.same((await call('/open', [])).body, { sub: null })
    t.same((await call('/open', ['Authorization', 'Basic eDp5'])).body, { sub: null })
    t.same((await call('/open', good)).body, { sub: 'user-1' })
    t.equal((await call('/open', ['Authorization', 'Bearer x'])).status, 401)
    t.equal((await call('/open', ['Authorization', 'Bearer'])).status, 400)
    t.equal((await call('/read', good)).status, 200)
    const nameless = await call('/read', [])
    t.same(
      [nameless.status, nameless.headers['www-authenticate']],
      [401, 'Bearer realm="https://orders.example"'],
    )
  },
)

t.test('a guard without keyturnExpress before it answers 500 and lets no request pass', async (t) => {
  const issuer = await fakeIssuer(t)
  const app = quiet(express())
  app.use((request, _response, next) => {
    request.claims = { scope: 'orders:read', roles: ['manager'] } as unknown as NonNullable<
      typeof request.claims
    >
    next()
  })
  app.get('/read', requireScope('orders:read'), (_, response) => void response.json({}))
  app.get('/manager', requireRole('manager'), (_, response) => void response.json({}))
  const call = await served(t, app)
  const good = ['Authorization', `Bearer ${await issuer.token()}`]
  for (const path of ['/read', '/manager']) t.equal((await call(path, good)).status, 500)
})

t.test('an error of a handler does not become a response about the token', async (t) => {
  const issuer = await fakeIssuer(t)
  const app = quiet(express())
  app.use(keyturnExpress({ verifier: issuer.verifier() }))
  app.get('/fails', () => {
    throw Object.assign(new Error('of the handler'), { status: 418 })
  })
  const call = await served(t, app)
  t.equal((await call('/fails', ['Authorization', `Bearer ${await issuer.token()}`])).status, 418)
})

t.test('it works on a bare Node server', async (t) => {
  const issuer = await fakeIssuer(t)
  const authenticate = keyturnExpress({ verifier: issuer.verifier() })
  const readers = requireScope('orders:read')
  const call = await served(t, (request, response) =>
    authenticate(request, response, () =>
      readers(request, response, () => void response.end('{"fine":true}')),
    ),
  )
  t.same((await call('/', ['Authorization', `Bearer ${await issuer.token()}`])).body, { fine: true })
  t.equal((await call('/', [])).status, 401)
  const token = await issuer.token({ scope: 'x' })
  t.equal((await call('/', ['Authorization', `Bearer ${token}`])).status, 403)
})
