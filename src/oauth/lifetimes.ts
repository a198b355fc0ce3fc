/**
 * Every fixed lifetime and clock tolerance of the protocol. Configurable ones (access tokens, refresh tokens, the grace period
 * of a refresh) are in src/config/fields.ts; those of logins, second factors and user sessions in src/accounts/lifetimes.ts.
 */
import type { Client } from '../store/contracts/clients.ts'
import type { Seconds } from '../system.ts'

/** RFC 6749 §4.1.2 allows up to ten minutes; a client needs only seconds. */
export const AUTHORIZATION_CODE_TTL: Seconds = 60

/** A good code verifier cannot be guessed (RFC 7636 §7.1). This limit also protects a weak one. */
export const MAX_CODE_VERIFIER_ATTEMPTS = 5

/** RFC 9126 §2.2; FAPI 2.0 §5.3.2.2 requires less than ten minutes. The browser follows within seconds. */
export const PUSHED_REQUEST_TTL: Seconds = 90

/** Counted from the arrival of the authorization request. Users may need time to find a password or a phone. */
export const FLOW_TTL: Seconds = 3600

/** How much the clocks of two nodes may differ when one decrypts a flow that the other encrypted. */
export const FLOW_CLOCK_SKEW: Seconds = 60

/**
 * OIDC Core §3.1.2.1, `max_age`: a login during this request satisfies any `max_age` for at least this long, while the user is
 * on the following pages. Otherwise a small `max_age` would require the password again and again.
 */
export const FRESH_LOGIN_GRACE: Seconds = 600

/** RFC 7523 §3, rule 4: a client assertion or request object may expire at most this far in the future. */
export const MAX_CLIENT_JWT_LIFETIME: Seconds = 3600

/** FAPI 2.0 §5.3.2.1 requires a tolerance between 10 s and 60 s. */
export const CLIENT_CLOCK_SKEW: Seconds = 30

/** JARM §2.1 recommends at most ten minutes. The browser delivers the response within seconds; clocks may differ. */
export const SIGNED_RESPONSE_TTL: Seconds = 120

/** RFC 9449 §11.1: seconds or minutes, counted from `iat` of a DPoP proof, whose `jti` is remembered as long. */
export const DPOP_PROOF_MAX_AGE: Seconds = 60

/** RFC 9449 §8.2: a new DPoP nonce is supplied after this time, and the one before it is accepted for as long again. */
export const DPOP_NONCE_PERIOD: Seconds = 120

/** OpenID Connect Back-Channel Logout §4: short, because anyone who sees the token could replay it. */
export const LOGOUT_TOKEN_TTL: Seconds = 120

/**
 * The lifetime of an access token and of its ID token: the shorter of the client's and the API's, if they have one; otherwise
 * the configured one.
 */
export function accessTokenTtl(client: Client, apiTtl: Seconds | null, fallback: Seconds): Seconds {
  const ttls = [client.accessTokenTtl, apiTtl].filter((ttl) => ttl !== null)
  return ttls.length === 0 ? fallback : Math.min(...ttls)
}
