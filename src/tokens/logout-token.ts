/** Logout tokens (OpenID Connect Back-Channel Logout §2.4), which tell a client that a session has ended. No API accepts them. */
import type { EpochSeconds, Seconds } from '../system.ts'

/** This type and the missing `nonce` prevent a logout token from being accepted as an ID token (§2.4, RFC 8725 §3.12). */
export const LOGOUT_TOKEN_TYPE = 'logout+jwt'

export interface EndedClientSession {
  readonly clientSessionId: string
  readonly clientId: string
  readonly userId: string
}

interface LogoutTokenContext {
  readonly issuer: string
  readonly now: EpochSeconds
  readonly jti: string
  readonly ttl: Seconds
}

export function logoutTokenClaims(
  { clientSessionId, clientId, userId }: EndedClientSession,
  { issuer, now, jti, ttl }: LogoutTokenContext,
) {
  return {
    iss: issuer,
    sub: userId,
    aud: clientId,
    iat: now,
    exp: now + ttl,
    jti,
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    sid: clientSessionId,
  }
}
