/**
 * What the sender of a token request proves besides its identity: a key (RFC 9449) or a certificate (RFC 8705). The tokens are bound to
 * it. Must not know any grant.
 */
import type { Client } from '../store/contracts/clients.ts'
import type { Confirmation } from '../tokens/confirmation.ts'
import type { ProtocolRequest } from './parameters.ts'

export interface SenderProof {
  readonly confirmation: Confirmation
  /**
   * Uses up what can be used once. Called when the rest of the request has been found good, so that nobody but the sender can use it up,
   * and a refused request uses nothing.
   * @throws {OAuthError} if it was used before
   */
  consume(): Promise<void>
}

/**
 * Returns null if the sender proves nothing. Writes nothing.
 * @param client authenticated
 * @throws {OAuthError} if a proof is not valid, or if the client must prove what it has not proven
 */
export type ProveSender = (request: ProtocolRequest, client: Client) => Promise<SenderProof | null>

export function createProveSender(): ProveSender {
  return async () => null
}
