/**
 * Access tokens that Keyturn itself accepts, at userinfo and at the administration: of this server, not expired, and active. Must
 * not know which endpoint asks.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Signer } from '../keys/signer.ts'
import type { Clock } from '../system.ts'
import { ACCESS_TOKEN_TYPE, type AccessTokenClaims } from '../tokens/access-token.ts'
import type { ActiveTokens } from './active-token.ts'
import { invalidRequest, OAuthError } from './errors.ts'

export interface BearerTokenDeps {
  readonly signer: Pick<Signer, 'verify'>
  readonly activeTokens: ActiveTokens
  readonly clock: Clock
  readonly issuer: string
}

type Active = Extract<Awaited<ReturnType<ActiveTokens['accessToken']>>, { active: true }>

/** What is known of an access token. The caller checks the audience and the scopes. @throws {OAuthError} invalid_token */
export type VerifyBearerToken = (token: string) => Promise<Active & { readonly claims: AccessTokenClaims }>

export function createVerifyBearerToken(deps: BearerTokenDeps): VerifyBearerToken {
  const { signer, activeTokens, clock, issuer } = deps
  return async (token) => {
    const verified = await signer.verify(token, { typ: ACCESS_TOKEN_TYPE, issuer, now: clock.now() })
    if (!verified.valid)
      throw invalidToken(verified.problem === 'expired' ? 'token_expired' : 'unknown_token')
    const claims = verified.claims as AccessTokenClaims
    const status = await activeTokens.accessToken(claims)
    if (!status.active) throw invalidToken(status.detail)
    return { ...status, claims }
  }
}

export const invalidToken = (detail: FailureDetail) =>
  new OAuthError('invalid_token', 'the access token is not valid', { detail })

/** RFC 6750 §2.1. The scheme is case-insensitive (RFC 9110 §11.1). */
const BEARER = /^bearer(?: +(.*))?$/i
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

/** The token of an `Authorization` header; null if it has another scheme. @throws {OAuthError} invalid_request */
export function bearerTokenOf(authorization: string): string | null {
  const match = BEARER.exec(authorization)
  if (!match) return null
  const [, token = ''] = match
  if (!TOKEN.test(token)) throw invalidRequest('the Authorization header is malformed')
  return token
}
