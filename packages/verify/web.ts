/** For servers that speak the web's own Request and Response: Hono, Deno, workers. */
import { bearerToken, checkRequirements, type Requirements, refusal } from './bearer.ts'
import type { AccessTokenClaims } from './claims.ts'
import type { Verifier } from './verifier.ts'

export type Authenticated =
  | { readonly claims: AccessTokenClaims; readonly response?: never }
  | { readonly response: Response; readonly claims?: never }

/** Either the claims of a good token that meets the requirements, or the response to send (RFC 6750 §3). */
export async function authenticateRequest(
  verifier: Verifier,
  request: Request,
  requirements: Requirements = {},
): Promise<Authenticated> {
  try {
    const claims = await verifier.verify(bearerToken(request.headers.get('authorization')))
    checkRequirements(claims, requirements)
    return { claims }
  } catch (error) {
    const { status, headers, body } = refusal(error, { realm: verifier.realm, ...requirements })
    return { response: Response.json(body, { status, headers: { ...headers } }) }
  }
}
