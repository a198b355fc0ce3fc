/** A guard for servers that use web-standard Request and Response objects: Hono, Deno, workers. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { proofOf, schemeOf, tokenOf } from './authorization-header.ts'
import type { Certificate } from './certificate.ts'
import { errorResponse } from './error-response.ts'
import { requestUrls } from './request-url.ts'
import { checkRequirements, type Requirements, resolveAuthentication } from './requirements.ts'
import type { SenderProof } from './sender-check.ts'
import { refuseUnknown } from './unknown-options.ts'
import type { Verifier } from './verifier.ts'

export interface AuthenticateOptions extends Requirements {
  /**
   * The client's certificate. A Request does not have it, and does not say who has sent it, so `Client-Cert` is not read: if the sender is a
   * trusted proxy, pass `clientCertOf(request.headers.get('client-cert'))`.
   */
  readonly certificate?: Certificate | undefined
}

/** Either `claims` or `response` is set. `headers` are for the response to a request that is accepted. */
export type AuthenticationResult =
  | { readonly claims: AccessTokenClaims; readonly headers: Headers; readonly response?: never }
  | { readonly response: Response; readonly claims?: never; readonly headers?: never }

/**
 * Returns the claims of a valid token that meets the requirements, or the response to send (RFC 6750 §3, RFC 9449 §7, RFC 9470 §3).
 * @throws whatever the verifier throws that is not a VerifyError
 */
export async function authenticateRequest(
  verifier: Verifier,
  request: Request,
  options: AuthenticateOptions = {},
): Promise<AuthenticationResult> {
  refuseUnknown('authenticateRequest', options, ['scopes', 'roles', 'acr', 'maxAge', 'certificate'])
  const { certificate, ...requirements } = options
  resolveAuthentication(requirements)
  const { realm, guard } = verifier
  const authorization = request.headers.get('authorization')
  const scheme = schemeOf(authorization)
  const headers = new Headers()
  try {
    const token = tokenOf(authorization)
    const onNonce = (nonce: string) => headers.set('dpop-nonce', nonce)
    const proof = scheme === 'DPoP' ? proofAndRequest(request, verifier) : {}
    const claims = await verifier.verify(token, { ...proof, certificate, onNonce })
    checkRequirements(claims, requirements, guard.time())
    return { claims, headers }
  } catch (error) {
    const refused = errorResponse(error, { realm, ...guard, scheme, ...requirements })
    const { status, body } = refused
    return { response: Response.json(body, { status, headers: { ...refused.headers } }) }
  }
}

/** The address in a Request usually comes from the header `Host`, so it is treated like one. */
function proofAndRequest({ url, method, headers }: Request, { guard }: Verifier): SenderProof {
  const { protocol, host, pathname } = new URL(url)
  const target = {
    path: pathname,
    host,
    secure: protocol === 'https:',
    peer: undefined,
    header: (name: string) => headers.get(name) ?? undefined,
  }
  return { proof: proofOf(headers.get('dpop')), method, url: requestUrls(target, guard) }
}
