/** A guard for servers that use web-standard Request and Response objects: Hono, Deno, workers. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { bearerToken } from './bearer-token.ts'
import { errorResponse } from './error-response.ts'
import { checkRequirements, type Requirements } from './requirements.ts'
import { refuseUnknown } from './unknown-options.ts'
import type { Verifier } from './verifier.ts'

/** Either `claims` or `response` is set. */
export type AuthenticationResult =
  | { readonly claims: AccessTokenClaims; readonly response?: never }
  | { readonly response: Response; readonly claims?: never }

/**
 * Returns the claims of a valid token that meets the requirements, or the response to send (RFC 6750 §3).
 * @throws whatever the verifier throws that is not a VerifyError
 */
export async function authenticateRequest(
  verifier: Verifier,
  request: Request,
  requirements: Requirements = {},
): Promise<AuthenticationResult> {
  refuseUnknown('authenticateRequest', requirements, ['scopes', 'roles'])
  try {
    const claims = await verifier.verify(bearerToken(request.headers.get('authorization')))
    checkRequirements(claims, requirements)
    return { claims }
  } catch (error) {
    const { status, headers, body } = errorResponse(error, { realm: verifier.realm, ...requirements })
    return { response: Response.json(body, { status, headers: { ...headers } }) }
  }
}
