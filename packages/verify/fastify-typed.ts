/** `@keyturn/verify/fastify`: the Fastify plugin, with the types of what it adds to an app and its requests. */
import type {} from 'fastify'
import type { AccessTokenClaims } from './access-token-claims.ts'
import type { Guard } from './fastify.ts'
import type { AcrArguments, RoleArguments } from './requirements.ts'

export { type Guard, type KeyturnFastifyOptions, keyturnFastify } from './fastify.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes a hook that requires a valid access token. */
    requireToken(): Guard
    /** Makes a hook that requires a valid access token with all of these scopes. */
    requireScope(...scopes: string[]): Guard
    /**
     * Makes a hook that requires a valid access token of a user with all of these roles, and the scopes that may follow them:
     * `requireRole('manager', { scope: 'orders:write' })`.
     */
    requireRole(...args: RoleArguments): Guard
    /**
     * Makes a hook that requires a user who has authenticated at one of these levels, and perhaps recently:
     * `requireAcr('phr', { maxAge: 300 })`. The challenge tells the client what to ask the issuer for (RFC 9470).
     */
    requireAcr(...args: AcrArguments): Guard
    /** Makes a hook that requires a user who has authenticated at most this many seconds ago (RFC 9470). */
    requireMaxAge(seconds: number): Guard
  }
  interface FastifyRequest {
    /** The claims of the access token; null on routes without a guard. */
    claims: AccessTokenClaims | null
  }
}
