import t from 'tap'
import { authenticateRequest, type Requirements } from '../../packages/verify/index.ts'
import { bearerGuards, type GuardedApp, MFA } from '../contracts/bearer-guards.ts'
import { dpopGuards } from '../contracts/dpop-guards.ts'
import { stepUpGuards } from '../contracts/step-up-guards.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'

const NEEDS: Record<string, Requirements> = {
  '/any': {},
  '/read': { scopes: ['orders:read'] },
  '/both': { scopes: ['orders:read', 'orders:admin'] },
  '/manager': { roles: ['manager'] },
  '/manager-writes': { roles: ['manager'], scopes: ['orders:write'] },
  '/mfa': { acr: MFA },
  '/recent': { maxAge: 300 },
  '/recent-mfa': { acr: MFA, maxAge: 300 },
}

const guarded: GuardedApp = async (_t, verifier) => {
  /** A request as a worker gets it. */
  async function handle(request: Request): Promise<Response> {
    const needs = NEEDS[new URL(request.url).pathname]
    if (!needs) return Response.json({ sub: null })
    const { claims, headers, response } = await authenticateRequest(verifier, request, needs)
    return response ?? Response.json({ sub: claims.sub }, { headers })
  }
  return async (path, named) => {
    const headers = new Headers()
    for (let i = 0; i < named.length; i += 2) headers.append(named[i] ?? '', named[i + 1] ?? '')
    const request = new Request(`https://orders.example${path}`, { headers })
    const response = await handle(request).catch(() => new Response('', { status: 500 }))
    const body = await response.json().catch(() => undefined)
    return { status: response.status, headers: Object.fromEntries(response.headers), body }
  }
}

t.test('a web-standard Request: bearer tokens', (t) => bearerGuards(t, guarded))
t.test('a web-standard Request: DPoP', (t) => dpopGuards(t, guarded))
t.test('a web-standard Request: levels of authentication', (t) => stepUpGuards(t, guarded))

t.test('without requirements every valid token passes', async (t) => {
  const issuer = await fakeIssuer(t)
  const headers = { authorization: `Bearer ${await issuer.token({ scope: undefined })}` }
  const { claims } = await authenticateRequest(
    issuer.verifier(),
    new Request('https://a.example', { headers }),
  )
  t.equal(claims?.sub, 'user-1')
})
