/**
 * Guards for Fastify. The types describe only what is used, so the package does not depend on Fastify; fastify-typed.ts
 * adds the types for apps.
 */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { errorResponse, nonceHeaders } from './error-response.ts'
import { type NodeRequest, nodeCredentials, schemeOfRequest } from './node-request.ts'
import {
  type AcrArguments,
  acrRequirements,
  checkRequirements,
  maxAgeRequirements,
  type Requirements,
  type RoleArguments,
  roleRequirements,
  scopeRequirements,
} from './requirements.ts'
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
 * Adds `app.requireToken()`, `app.requireScope(…)`, `app.requireRole(…)`, `app.requireAcr(…)` and `app.requireMaxAge(…)`, which make guards for
 * routes, and `request.claims`. A guard answers a refused request as RFC 6750 §3, RFC 9449 §7 and RFC 9470 §3 say. Several guards of one
 * route verify its token once. Closing the app closes the verifier.
 */
export async function keyturnFastify(app: unknown, { verifier }: KeyturnFastifyOptions): Promise<void> {
  const fastify = app as AppShape

  /** The claims of requests that passed a guard. A second guard must not verify again: a DPoP proof is accepted only once. */
  const verified = new WeakMap<object, AccessTokenClaims>()

  async function verify({ raw }: RequestShape, reply: ReplyShape): Promise<AccessTokenClaims> {
    const { token, sender } = nodeCredentials(raw, verifier.guard)
    return verifier.verify(token, { ...sender, onNonce: (nonce) => reply.headers(nonceHeaders(nonce)) })
  }

  const guard = (requirements: Requirements) => async (request: RequestShape, reply: ReplyShape) => {
    try {
      const claims = verified.get(request.raw) ?? (await verify(request, reply))
      verified.set(request.raw, claims)
      checkRequirements(claims, requirements, verifier.guard.time())
      ;(request as { claims?: AccessTokenClaims }).claims = claims
      return undefined
    } catch (error) {
      const scheme = schemeOfRequest(request.raw)
      const challenge = { realm: verifier.realm, ...verifier.guard, scheme, ...requirements }
      const { status, headers, body } = errorResponse(error, challenge)
      return reply
        .code(status)
        .headers({ ...headers })
        .send(body)
    }
  }

  fastify.decorateRequest('claims', null)
  fastify.decorate('requireToken', () => guard({}))
  fastify.decorate('requireScope', (...scopes: string[]) => guard(scopeRequirements(scopes)))
  fastify.decorate('requireRole', (...args: RoleArguments) => guard(roleRequirements(args)))
  fastify.decorate('requireAcr', (...args: AcrArguments) => guard(acrRequirements(args)))
  fastify.decorate('requireMaxAge', (seconds: number) => guard(maxAgeRequirements(seconds)))
  fastify.addHook('onClose', async () => verifier.close())
}

// Fastify's mark for a plugin that decorates the app that registers it, and not only its own scope.
Object.assign(keyturnFastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/verify',
})
