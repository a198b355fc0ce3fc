/** `@keyturn/verify/fastify`: the same plugin, and what it adds to an app for TypeScript to know. */
import type {} from 'fastify'
import type { AccessTokenClaims } from './claims.ts'
import type { Guard } from './fastify.ts'

export { type Guard, type KeyturnFastifyOptions, keyturnFastify } from './fastify.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** A guard that lets a good access token pass. */
    requireToken(): Guard
    /** A guard that lets a good access token with all of these scopes pass. */
    requireScope(...scopes: string[]): Guard
    /** A guard that lets a good access token of somebody with all of these roles pass. */
    requireRole(...roles: string[]): Guard
  }
  interface FastifyRequest {
    /** What the token says; null where no guard has let it pass. */
    claims: AccessTokenClaims | null
  }
}
