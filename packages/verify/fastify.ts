/**
 * Guards for Fastify. The types describe only what is used, so the package does not depend on Fastify; fastify-typed.ts
 * adds the types for apps.
 */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { incomingToken, type NodeRequest } from './bearer-token.ts'
import { errorResponse } from './error-response.ts'
import { checkRequirements, type Requirements, type RoleArguments, roleRequirements } from './requirements.ts'
import type { Verifier } from './verifier.ts'

interface RequestShape {
  readonly raw: NodeRequest
}

interface ReplyShape {
  code(status: number): ReplyShape
  headers(values: Record<string, string>): ReplyShape
  send(body: unknown): unknown
}

interface AppShape {
  decorate(name: string, value: unknown): unknown
  decorateRequest(name: string, value: unknown): unknown
  addHook(name: 'onClose', hook: () => Promise<void>): unknown
}

/** A Fastify `onRequest` or `preHandler` hook. */
export type Guard = (request: RequestShape, reply: ReplyShape) => Promise<unknown>

export interface KeyturnFastifyOptions {
  readonly verifier: Verifier
}

/**
 * Adds `app.requireToken()`, `app.requireScope(…)` and `app.requireRole(…)`, which make guards for routes, and
 * `request.claims`. A guard answers a refused request as RFC 6750 §3 says. Closing the app closes the verifier.
 */
export async function keyturnFastify(app: unknown, { verifier }: KeyturnFastifyOptions): Promise<void> {
  const fastify = app as AppShape

  const guard = (requirements: Requirements) => async (request: RequestShape, reply: ReplyShape) => {
    try {
      const claims = await verifier.verify(incomingToken(request.raw))
      checkRequirements(claims, requirements)
      ;(request as { claims?: AccessTokenClaims }).claims = claims
      return undefined
    } catch (error) {
      const { status, headers, body } = errorResponse(error, { realm: verifier.realm, ...requirements })
      return reply
        .code(status)
        .headers({ ...headers })
        .send(body)
    }
  }

  fastify.decorateRequest('claims', null)
  fastify.decorate('requireToken', () => guard({}))
  fastify.decorate('requireScope', (...scopes: string[]) => guard({ scopes }))
  fastify.decorate('requireRole', (...args: RoleArguments) => guard(roleRequirements(args)))
  fastify.addHook('onClose', async () => verifier.close())
}

// Fastify's mark for a plugin that decorates the app that registers it, and not only its own scope.
Object.assign(keyturnFastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/verify',
})
