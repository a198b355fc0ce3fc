/** `WWW-Authenticate` of endpoints that an access token opens (RFC 6750 §3). */
import { describable, type OAuthError } from '../oauth/errors.ts'

const REALM = 'Bearer realm="keyturn"'

/** @param error null: the request brought no token, and is told no more than that one is needed (§3.1) */
export function bearerChallenge(error: OAuthError | null): string {
  if (!error) return REALM
  const scope = error.code === 'insufficient_scope' ? ', scope="openid"' : ''
  return `${REALM}, error="${error.code}", error_description="${describable(error.message)}"${scope}`
}
