/** Claims about the user that an access token was issued for (OIDC Core §5.3). Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import type { FailureDetail } from '../../audit/failure-details.ts'
import { auditFailure } from '../audit-failures.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type SentToken, sentTokenOf, type VerifyAccessToken } from '../protected-resource.ts'
import { type UserClaims, userInfoClaimsOf } from '../user-claims.ts'

export interface UserInfoDeps {
  readonly verifyAccessToken: VerifyAccessToken
  readonly audit: Audit
}

/**
 * Returns null if the request has no access token (RFC 6750 §3.1).
 * @throws {OAuthError} invalid_request, invalid_token, insufficient_scope, invalid_dpop_proof, use_dpop_nonce
 */
export type UserInfo = (request: ProtocolRequest) => Promise<UserClaims | null>

export function createUserInfo({ verifyAccessToken, audit }: UserInfoDeps): UserInfo {
  return (request) =>
    auditFailure(audit, 'userinfo.refused', request, async (established) => {
      const sent = sentTokenIn(request)
      if (sent === null) return null
      // The audience is not checked: every access token with `openid` is valid here.
      const { client, endUser, rights } = await verifyAccessToken(sent, request, (verified) => {
        established.clientId = verified.client.id
        if (!verified.rights.scopes.includes('openid') || !verified.endUser)
          throw notOpenId(verified.endUser ? 'openid_missing' : 'no_user')
      })
      if (!endUser) throw notOpenId('no_user')
      return userInfoClaimsOf(endUser.user, client, rights.scopes, endUser.session.userinfoClaims)
    })
}

const notOpenId = (detail: FailureDetail) =>
  new OAuthError('insufficient_scope', 'the access token does not have the scope openid', { detail })

/** RFC 6750 §2: the token of the header or of the form; null if there is none. */
function sentTokenIn({ authorization, parameters }: ProtocolRequest): SentToken | null {
  const inForm = parameters.get('access_token')
  if (authorization === undefined) return inForm === undefined ? null : { scheme: 'bearer', token: inForm }
  if (inForm !== undefined)
    throw invalidRequest('the access token must be in the header or in the form, not in both')
  return sentTokenOf(authorization)
}
