/** OpenID Connect Back-Channel Logout §2.4. Tells a client that one of its sessions has ended; no API accepts it. */
import type { EpochSeconds, Seconds } from '../system.ts'

/** A type of its own, and the token never has a `nonce`: it must not pass for an ID token (§2.4, RFC 8725 §3.12). */
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
