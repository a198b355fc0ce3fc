/** `WWW-Authenticate` of endpoints that need an access token (RFC 6750 §3, RFC 9449 §7.1). */
import { PROOF_ALGORITHMS } from '../oauth/dpop/algorithms.ts'
import { type OAuthError, sanitizeDescription } from '../oauth/errors.ts'
import { usesDpop } from '../oauth/protected-resource.ts'

const REALM = 'Bearer realm="keyturn"'
const ALGORITHMS = `algs="${PROOF_ALGORITHMS.join(' ')}"`

/**
 * A 401 names both schemes, and the error is in the challenge of the one that was used (RFC 9449 §7.2). A request with a DPoP-bound token
 * gets the challenge of that scheme alone: a bearer token would not help it.
 * @param authorization the `Authorization` header of the request
 * @param error null if the request has no token: the response then has no error code (RFC 6750 §3.1)
 * @param needed the scope that the endpoint needs
 */
export function tokenChallenge(
  authorization: string | undefined,
  error: OAuthError | null,
  needed = 'openid',
): string {
  if (!error) return `${REALM}, DPoP ${ALGORITHMS}`
  const description = `error="${error.code}", error_description="${sanitizeDescription(error.message)}"`
  const scope = error.code === 'insufficient_scope' ? `, scope="${needed}"` : ''
  if (authorization !== undefined && usesDpop(authorization))
    return `DPoP ${description}${scope}, ${ALGORITHMS}`
  return `${REALM}, ${description}${scope}${error.status === 401 ? `, DPoP ${ALGORITHMS}` : ''}`
}
