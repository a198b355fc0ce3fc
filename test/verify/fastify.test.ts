import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
// The entry `@keyturn/verify/fastify`: the test also shows that the compiler knows `app.requireScope`.
import { keyturnFastify } from '../../packages/verify/fastify-typed.ts'
import { keyturnFastify as untyped } from '../../packages/verify/index.ts'
import { bearerGuards, callTo, type GuardedApp, MFA } from '../contracts/bearer-guards.ts'
import { dpopGuards } from '../contracts/dpop-guards.ts'
import { stepUpGuards } from '../contracts/step-up-guards.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'

const guarded =
  (phase: 'onRequest' | 'preHandler'): GuardedApp =>
  async (t, verifier) => {
    const app = Fastify()
    await app.register(keyturnFastify, { verifier })
    app.get('/open', async ({ claims }) => ({ sub: claims?.sub ?? null }))
    // In a nested plugin, like the routes of a real app.
    await app.register(async (child) => {
      child.get('/any', { [phase]: app.requireToken() }, async ({ claims }) => ({ sub: claims?.sub }))
      child.get('/read', { [phase]: app.requireScope('orders:read') }, async ({ claims }) => ({
        sub: claims?.sub,
      }))
      child.get('/both', { [phase]: [app.requireScope('orders:read', 'orders:admin')] }, async () => ({}))
      child.get('/manager', { [phase]: app.requireRole('manager') }, async () => ({}))
      const writes = app.requireRole('manager', { scope: 'orders:write' })
      child.get('/manager-writes', { [phase]: writes }, async () => ({}))
      child.get('/mfa', { [phase]: app.requireAcr(...MFA) }, async () => ({}))
      child.get('/recent', { [phase]: app.requireMaxAge(300) }, async () => ({}))
      // Two guards: the token, and its proof, are checked once.
      const recent = [app.requireMaxAge(300), app.requireAcr(...MFA, { maxAge: 300 })]
      child.get('/recent-mfa', { [phase]: recent }, async () => ({}))
    })
    t.teardown(() => app.close())
    await app.listen({ port: 0 })
    return callTo((app.server.address() as AddressInfo).port)
  }

for (const phase of ['preHandler', 'onRequest'] as const) {
  t.test(`Fastify: bearer tokens, in the phase ${phase}`, (t) => bearerGuards(t, guarded(phase)))
  t.test(`Fastify: DPoP, in the phase ${phase}`, (t) => dpopGuards(t, guarded(phase)))
  t.test(`Fastify: levels of authentication, in the phase ${phase}`, (t) => stepUpGuards(t, guarded(phase)))
}

t.test('a refused request does not reach its handler', async (t) => {
  const issuer = await fakeIssuer(t)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(keyturnFastify, { verifier: issuer.verifier() })
  let reached = 0
  app.get('/', { preHandler: [app.requireToken(), app.requireScope('orders:admin')] }, async () => {
    reached += 1
    return {}
  })
  t.equal((await app.inject({ url: '/' })).statusCode, 401)
  const authorization = `Bearer ${await issuer.token()}`
  t.equal((await app.inject({ url: '/', headers: { authorization } })).statusCode, 403)
  t.equal(reached, 0)
})

t.test('a request does not see the claims of another', async (t) => {
  const issuer = await fakeIssuer(t)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(keyturnFastify, { verifier: issuer.verifier() })
  app.get('/guarded', { preHandler: app.requireToken() }, async ({ claims }) => ({ sub: claims?.sub }))
  app.get('/open', async ({ claims }) => ({ claims }))
  const authorization = `Bearer ${await issuer.token()}`
  t.same((await app.inject({ url: '/guarded', headers: { authorization } })).json(), { sub: 'user-1' })
  t.same((await app.inject({ url: '/open', headers: { authorization } })).json(), { claims: null })
})

t.test('closing the app closes the verifier', async (t) => {
  const issuer = await fakeIssuer(t)
  let closed = 0
  const close = () => {
    closed += 1
  }
  const verifier = { ...issuer.verifier(), close }
  const app = Fastify()
  await app.register(untyped, { verifier })
  await app.ready()
  t.equal(closed, 0)
  await app.close()
  t.equal(closed, 1)
})
