/**
 * What the sender of a token request proves besides its identity: a key (RFC 9449) or a certificate (RFC 8705). The tokens are bound to
 * it. Must not know any grant.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { Clock } from '../system.ts'
import type { Confirmation } from '../tokens/confirmation.ts'
import { usesCertificate } from './client-auth/index.ts'
import type { ProveKey } from './dpop/index.ts'
import { invalidRequest } from './errors.ts'
import { isValidAt, type PresentedCertificate } from './mtls/presented-certificate.ts'
import type { ProtocolRequest } from './parameters.ts'

export interface SenderProof {
  readonly confirmation: Confirmation
  /**
   * Uses up what can be used once. Called when the rest of the request has been found good, so that only the client itself can use it
   * up, and a refused request uses up nothing.
   * @param userId whose tokens are requested; null if no user is involved
   * @throws {OAuthError} if it was used before
   */
  consume(userId: string | null): Promise<void>
}

/**
 * Returns null if the sender proves nothing. Writes nothing.
 * @param client authenticated
 * @throws {OAuthError} if a proof is not valid, or if the client must prove what it has not proven
 */
export type ProveSender = (request: ProtocolRequest, client: Client) => Promise<SenderProof | null>

interface ProveSenderDeps {
  readonly proveKey: ProveKey
  readonly clock: Clock
}

export function createProveSender({ proveKey, clock }: ProveSenderDeps): ProveSender {
  return async (request, client) => {
    const thumbprint = boundCertificate(client, request.certificate, clock)
    // Most requests have no proof, and wait for nothing here.
    const key = request.dpop.length === 0 ? null : await proveKey(request)
    if (!key && client.requireDpop) throw dpopRequired()
    if (!key && thumbprint === null) return null
    return {
      // A token that is bound to both needs both.
      confirmation: {
        ...(key ? { jkt: key.jkt } : {}),
        ...(thumbprint === null ? {} : { 'x5t#S256': thumbprint }),
      },
      consume: async (userId) => key?.consume(client, userId),
    }
  }
}

/**
 * The thumbprint of the certificate that the tokens of this client are bound to (RFC 8705 §3, §4); null if they are bound to none. Who has
 * issued it does not matter: the client has proven that it has the private key.
 */
function boundCertificate(
  { authMethod, requireMtlsBound }: Client,
  presented: PresentedCertificate | null,
  clock: Clock,
): string | null {
  if (!requireMtlsBound && !usesCertificate(authMethod)) return null
  if (!presented) throw certificateRefused('certificate_required', 'must present a client certificate')
  if (!isValidAt(presented.certificate, clock.now()))
    throw certificateRefused('certificate_expired', 'must present a certificate that is valid now')
  return presented.thumbprint
}

/** RFC 8705 names no code. What is missing is a part of the request (RFC 6749 §5.2), as with a DPoP proof. */
const certificateRefused = (detail: FailureDetail, what: string) =>
  invalidRequest(`this client ${what} with its token requests`, { detail })

/**
 * RFC 9449 §5.2 names no code. There is no proof that could be invalid, and what is missing is a part of the request (RFC 6749 §5.2). The
 * conformance tests of FAPI 2.0 accept either code.
 */
const dpopRequired = () =>
  invalidRequest('this client must send a DPoP proof with its token requests', { detail: 'dpop_required' })
