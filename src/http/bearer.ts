/** `WWW-Authenticate` of endpoints that need an access token (RFC 6750 §3). */
import { type OAuthError, sanitizeDescription } from '../oauth/errors.ts'

const REALM = 'Bearer realm="keyturn"'

/**
 * @param error null if the request has no token: the response then has no error code (§3.1)
 * @param needed the scope that the endpoint needs
 */
export function bearerChallenge(error: OAuthError | null, needed = 'openid'): string {
  if (!error) return REALM
  const scope = error.code === 'insufficient_scope' ? `, scope="${needed}"` : ''
  return `${REALM}, error="${error.code}", error_description="${sanitizeDescription(error.message)}"${scope}`
}
