/**
 * Authorization responses that are one signed JWT (JARM: JWT Secured Authorization Response Mode for OAuth 2.0), so that the client can
 * verify who sent them and that nothing was exchanged on the way. Must not know what is in the response.
 */
import type { RateLimiter } from '../../accounts/rate-limiter.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Clock } from '../../system.ts'
import { OAuthError } from '../errors.ts'
import { SIGNED_RESPONSE_TTL } from '../lifetimes.ts'
import type { Pair } from '../parameters.ts'
import type { RedirectTarget } from './redirect-target.ts'
import { type AuthorizationResponse, deliver } from './response.ts'

/**
 * JARM names no type. This one is that of an ID token too, but a response has no `sub` and no `iat`, so neither can be taken for the other
 * (RFC 8725 §3.12).
 */
const TYPE = 'JWT'

/** Signatures cost CPU time, and anyone can cause an error response, even without a user or a client that takes part. */
export const STRANGER_LIMITS = { burst: 60, interval: 1 } as const

export interface SignedResponseDeps {
  readonly signer: Pick<Signer, 'sign'>
  readonly rateLimiter: Pick<RateLimiter, 'take'>
  readonly clock: Clock
  readonly issuer: string
}

interface Cause {
  /** The sender of the request is unknown: no user is signed in, and no client has pushed the request. */
  readonly stranger: boolean
  readonly ip: string
}

/** @throws {OAuthError} temporarily_unavailable, which is only shown to the user */
export type Respond = (
  target: RedirectTarget,
  fields: readonly Pair[],
  cause: Cause,
) => Promise<AuthorizationResponse>

export function createRespond({ signer, rateLimiter, clock, issuer }: SignedResponseDeps): Respond {
  return async (target, fields, { stranger, ip }) => {
    const { client, responseMode } = target
    if (responseMode === 'query' || responseMode === 'form_post') return deliver(target, fields)
    const retryAfter = stranger ? await rateLimiter.take('signed-response', ip, STRANGER_LIMITS) : 0
    if (retryAfter > 0) {
      const message = 'too many requests, try again later'
      throw new OAuthError('temporarily_unavailable', message, { status: 429, retryAfter })
    }
    const parameters = Object.fromEntries(fields)
    // JARM §2.1
    const claims = { ...parameters, iss: issuer, aud: client.id, exp: clock.now() + SIGNED_RESPONSE_TTL }
    const response = await signer.sign(TYPE, claims, client.authorizationSignedResponseAlg ?? undefined)
    return deliver(target, [['response', response]])
  }
}
