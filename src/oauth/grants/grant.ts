/**
 * The contract of a grant (RFC 6749 §1.3): it decides what the client may have, and never mints. Owns nothing;
 * must not know HTTP, client authentication or how tokens are written. A new grant is a file beside this one
 * and a line in index.ts.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { Authorization } from '../authorization.ts'
import type { Parameters } from '../parameters.ts'

export interface GrantRequest {
  /** Authenticated, and registered for this grant. */
  readonly client: Client
  readonly parameters: Parameters
  readonly ip: string
  readonly requestId: string
}

export interface Grant {
  /** As in `grant_type`. */
  readonly name: string
  /** Confidential clients only (RFC 6749 §4.4). */
  readonly confidentialOnly?: true
  /**
   * Refuses what arithmetic alone shows to be worthless, such as a token that this server never wrote: before the
   * client is authenticated, because that may take look-ups, hashing, or a client assertion's only use.
   * @throws {OAuthError}
   */
  screen?(parameters: Parameters): Promise<void>
  /** @throws {OAuthError} and then nothing has changed, but for what the error is about */
  authorize(request: GrantRequest): Promise<Authorization>
}
