/**
 * The contract of a way for clients to prove who they are (RFC 6749 §2.3). Owns nothing; must not know grants.
 * A new method is a file beside this one and a line in index.ts.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { ProtocolRequest } from '../parameters.ts'

/** What a request carries for one method: who it claims to be, and how to check that claim. */
export interface Presented {
  readonly clientId: string
  /** True if the client is who it claims to be. Called only for a client registered for this very method. */
  verify(client: Client): Promise<boolean>
}

export interface ClientAuthMethod {
  /** As in `token_endpoint_auth_method` (RFC 7591 §2). */
  readonly name: string
  /**
   * undefined if the request carries nothing of this method.
   * @throws {OAuthError} if it does, but malformed
   */
  present(request: ProtocolRequest): Presented | undefined
}
