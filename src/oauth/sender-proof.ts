/**
 * What the sender of a token request proves besides its identity: a key (RFC 9449) or a certificate (RFC 8705). The tokens are bound to
 * it. Must not know any grant.
 */
import type { Client } from '../store/contracts/clients.ts'
import type { Confirmation } from '../tokens/confirmation.ts'
import type { ProveKey } from './dpop/index.ts'
import { invalidRequest } from './errors.ts'
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

export function createProveSender({ proveKey }: { readonly proveKey: ProveKey }): ProveSender {
  return async (request, client) => {
    // Most requests have no proof, and wait for nothing here.
    const key = request.dpop.length === 0 ? null : await proveKey(request)
    if (!key) {
      if (client.requireDpop) throw dpopRequired()
      return null
    }
    return { confirmation: { jkt: key.jkt }, consume: (userId) => key.consume(client, userId) }
  }
}

/**
 * RFC 9449 §5.2 names no code. There is no proof that could be invalid, and what is missing is a part of the request (RFC 6749 §5.2). The
 * conformance tests of FAPI 2.0 accept either code.
 */
const dpopRequired = () =>
  invalidRequest('this client must send a DPoP proof with its token requests', { detail: 'dpop_required' })
