/**
 * Every lifetime and clock tolerance of the protocol that no setting changes. Those that an operator sets (access
 * tokens, refresh tokens, the grace for a retried refresh) are rows of src/config/fields.ts; those of logins, second
 * factors and user sessions are in src/accounts/lifetimes.ts. Must not know: anything but time.
 */
import type { Client } from '../store/contracts/clients.ts'
import type { Seconds } from '../system.ts'

/** RFC 6749 §4.1.2 allows ten minutes; a client needs seconds. */
export const AUTHORIZATION_CODE_TTL: Seconds = 60

/** RFC 7636 §7.1 makes guessing a good code verifier hopeless; this makes it hopeless for a weak one. */
export const MAX_CODE_VERIFIER_ATTEMPTS = 5

/** RFC 9126 §2.2; FAPI 2.0 §5.3.2.2 asks for less than ten minutes. A browser follows within seconds. */
export const PUSHED_REQUEST_TTL: Seconds = 90

/** From the arrival of an authorization request: a user may have to look for a password or a phone. */
export const FLOW_TTL: Seconds = 3600

/** The clocks of two nodes may differ by this much when one opens what the other has encrypted. */
export const FLOW_CLOCK_SKEW: Seconds = 60

/**
 * OIDC Core §3.1.2.1, `max_age`: a login for this very request satisfies it for at least this long, while the user is
 * on the pages that follow the login. Otherwise a small `max_age` would ask for the password again and again.
 */
export const FRESH_LOGIN_GRACE: Seconds = 600

/** RFC 7523 §3, rule 4: a client assertion or request object may expire at most this far in the future. */
export const MAX_CLIENT_JWT_LIFETIME: Seconds = 3600

/** FAPI 2.0 §5.3.2.1: a client's clock may be off by at least 10 s and less than 60 s. */
export const CLIENT_CLOCK_SKEW: Seconds = 30

/** OpenID Connect Back-Channel Logout §4: short, because anyone who sees the token could replay it. */
export const LOGOUT_TOKEN_TTL: Seconds = 120

/**
 * Lifetime of an access token, and of the ID token beside it: the client's and the API's own, the shorter where both
 * have one; else that of the settings.
 */
export function accessTokenTtl(client: Client, apiTtl: Seconds | null, fallback: Seconds): Seconds {
  const own = [client.accessTokenTtl, apiTtl].filter((ttl) => ttl !== null)
  return own.length === 0 ? fallback : Math.min(...own)
}
