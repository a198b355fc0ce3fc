/** `WWW-Authenticate` of endpoints that need an access token (RFC 6750 §3). */
import { type OAuthError, sanitizeDescription } from '../oauth/errors.ts'

const REALM = 'Bearer realm="keyturn"'

/** @param error null if the request has no token: the response then has no error code (§3.1) */
export function bearerChallenge(error: OAuthError | null): string {
  if (!error) return REALM
  const scope = error.code === 'insufficient_scope' ? ', scope="openid"' : ''
  return `${REALM}, error="${error.code}", error_description="${sanitizeDescription(error.message)}"${scope}`
}
