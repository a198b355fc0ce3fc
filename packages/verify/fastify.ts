/** Guards for Fastify. Described by shape, so that the package needs no Fastify; typed for its users in fastify-typed.ts. */
import { checkRequirements, type IncomingShape, incomingToken, type Requirements, refusal } from './bearer.ts'
import type { AccessTokenClaims } from './claims.ts'
import type { Verifier } from './verifier.ts'

interface RequestShape {
  readonly raw: IncomingShape
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
 * Adds `app.requireToken()`, `app.requireScope(…)` and `app.requireRole(…)`, each making a guard for a route, and
 * `request.claims`. Closes the verifier with the app.
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
      const { status, headers, body } = refusal(error, { realm: verifier.realm, ...requirements })
      return reply
        .code(status)
        .headers({ ...headers })
        .send(body)
    }
  }

  fastify.decorateRequest('claims', null)
  fastify.decorate('requireToken', () => guard({}))
  fastify.decorate('requireScope', (...scopes: string[]) => guard({ scopes }))
  fastify.decorate('requireRole', (...roles: string[]) => guard({ roles }))
  fastify.addHook('onClose', async () => verifier.close())
}

// Fastify's own mark for a plugin whose decorators are meant for the app that registers it.
Object.assign(keyturnFastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/verify',
})
