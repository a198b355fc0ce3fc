/** Access tokens (RFC 9068): their type, claims and expiry. */
import { acrOf } from '../accounts/amr.ts'
import type { Authorization } from '../oauth/authorization.ts'
import type { EpochSeconds } from '../system.ts'
import type { Confirmation } from './confirmation.ts'

/** RFC 9068 §2.1. */
export const ACCESS_TOKEN_TYPE = 'at+jwt'

/** RFC 9068 §2.2, with `roles` (§2.2.3.1), `auth_time` and `acr` (§2.2.1) and `sid` if the token was issued for a user. */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string
  client_id: string
  iat: EpochSeconds
  exp: EpochSeconds
  jti: string
  scope?: string
  roles?: readonly string[]
  auth_time?: EpochSeconds
  acr?: string
  sid?: string
  /** RFC 7800 §3.1. */
  cnf?: Confirmation
  /** draft-ietf-oauth-status-list §6.2. */
  status: { readonly status_list: { readonly idx: number; readonly uri: string } }
  [claim: string]: unknown
}

interface TokenContext {
  readonly issuer: string
  readonly now: EpochSeconds
  readonly jti: string
  readonly exp: EpochSeconds
  readonly status: { readonly idx: number; readonly uri: string }
}

/** A token never expires later than its session. */
export function tokenExpiry(authorization: Authorization, now: EpochSeconds): EpochSeconds {
  return Math.min(now + authorization.accessTokenTtl, authorization.notAfter ?? Number.POSITIVE_INFINITY)
}

export function accessTokenClaims(
  authorization: Authorization,
  { issuer, now, jti, exp, status }: TokenContext,
): AccessTokenClaims {
  const { client, user, audience, scopes, confirmation } = authorization
  const claims: AccessTokenClaims = {
    iss: issuer,
    sub: user?.userId ?? client.id,
    aud: audience,
    client_id: client.id,
    iat: now,
    exp,
    jti,
    status: { status_list: status },
  }
  if (scopes.length > 0) claims.scope = scopes.join(' ')
  if (confirmation) claims.cnf = confirmation
  if (user) {
    claims.roles = user.roles
    claims.auth_time = user.authTime
    // RFC 9470 §6.1: an API that requires a level of authentication reads it here.
    claims.acr = acrOf(user.amr)
    claims.sid = user.clientSessionId
  }
  return claims
}
