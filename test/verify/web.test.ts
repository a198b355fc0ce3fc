import t from 'tap'
import { authenticateRequest, type Requirements } from '../../packages/verify/index.ts'
import { bearerGuards } from '../contracts/bearer-guards.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'

const NEEDS: Record<string, Requirements> = {
  '/any': {},
  '/read': { scopes: ['orders:read'] },
  '/both': { scopes: ['orders:read', 'orders:admin'] },
  '/manager': { roles: ['manager'] },
  '/manager-writes': { roles: ['manager'], scopes: ['orders:write'] },
}

t.test('a web-standard Request', (t) =>
  bearerGuards(t, async (_t, verifier) => {
    /** A request as a worker gets it. */
    async function handle(request: Request): Promise<Response> {
      const needs = NEEDS[new URL(request.url).pathname]
      if (!needs) return Response.json({ sub: null })
      const { claims, response } = await authenticateRequest(verifier, request, needs)
      return response ?? Response.json({ sub: claims.sub })
    }
    return async (path, named) => {
      const headers = new Headers()
      for (let i = 0; i < named.length; i += 2) headers.append(named[i] ?? '', named[i + 1] ?? '')
      const request = new Request(`https://orders.example${path}`, { headers })
      const response = await handle(request).catch(() => new Response('', { status: 500 }))
      const body = await response.json().catch(() => undefined)
      return { status: response.status, headers: Object.fromEntries(response.headers), body }
    }
  }),
)

t.test('without requirements every valid token passes', async (t) => {
  const issuer = await fakeIssuer(t)
  const headers = { authorization: `Bearer ${await issuer.token({ scope: undefined })}` }
  const { claims } = await authenticateRequest(
    issuer.verifier(),
    new Request('https://a.example', { headers }),
  )
  t.equal(claims?.sub, 'user-1')
})
