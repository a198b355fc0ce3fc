/** Claims about the user that an access token was issued for (OIDC Core §5.3). Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Clock } from '../../system.ts'
import { ACCESS_TOKEN_TYPE, type AccessTokenClaims } from '../../tokens/access-token.ts'
import type { ActiveTokens } from '../active-token.ts'
import { auditFailure } from '../audit-failures.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type UserClaims, userInfoClaimsOf } from '../user-claims.ts'

export interface UserInfoDeps {
  readonly signer: Pick<Signer, 'verify'>
  readonly activeTokens: ActiveTokens
  readonly clock: Clock
  readonly audit: Audit
  readonly issuer: string
}

/**
 * Returns null if the request has no access token (RFC 6750 §3.1).
 * @throws {OAuthError} invalid_request, invalid_token, insufficient_scope
 */
export type UserInfo = (request: ProtocolRequest) => Promise<UserClaims | null>

/** RFC 6750 §2.1. The scheme is case-insensitive (RFC 9110 §11.1). */
const BEARER = /^bearer(?: +(.*))?$/i
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

export function createUserInfo({ signer, activeTokens, clock, audit, issuer }: UserInfoDeps): UserInfo {
  return (request) =>
    auditFailure(audit, 'userinfo.refused', request, async (established) => {
      const token = presentedToken(request)
      if (token === null) return null
      const expected = { typ: ACCESS_TOKEN_TYPE, issuer, now: clock.now() }
      // The audience is not checked: every access token with `openid` is valid here.
      const verified = await signer.verify(token, expected)
      if (!verified.valid) {
        throw invalidToken(verified.problem === 'expired' ? 'token_expired' : 'unknown_token')
      }
      const claims = verified.claims as AccessTokenClaims
      const status = await activeTokens.accessToken(claims)
      if (!status.active) throw invalidToken(status.detail)
      const { client, endUser, rights } = status
      established.clientId = client.id
      if (!endUser || !rights.scopes.includes('openid')) {
        const detail = endUser ? 'openid_missing' : 'no_user'
        throw new OAuthError('insufficient_scope', 'the access token does not have the scope openid', {
          detail,
        })
      }
      return userInfoClaimsOf(endUser.user, client, rights.scopes, endUser.session.userinfoClaims)
    })
}

const invalidToken = (detail: FailureDetail) =>
  new OAuthError('invalid_token', 'the access token is not valid', { detail })

/** RFC 6750 §2: the token of the header or of the form; null if there is none. */
function presentedToken({ authorization, parameters }: ProtocolRequest): string | null {
  const inForm = parameters.get('access_token') ?? null
  if (authorization === undefined) return inForm
  if (inForm !== null)
    throw invalidRequest('the access token must be in the header or in the form, not in both')
  const match = BEARER.exec(authorization)
  if (!match) return null
  const [, token = ''] = match
  if (!TOKEN.test(token)) throw invalidRequest('the Authorization header is malformed')
  return token
}
