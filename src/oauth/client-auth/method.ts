/**
 * The contract of a client authentication method (RFC 6749 §2.3). Owns nothing; must not know grants. A new method
 * is a file beside this one and a line in index.ts.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock } from '../../system.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { ClientKeys } from './client-keys.ts'
import type { SecretVerifier } from './secret.ts'

/** Everything that methods are built from; each factory picks what it needs. */
export interface ClientAuthMethodDeps {
  readonly secrets: SecretVerifier
  readonly clientKeys: ClientKeys
  readonly singleUse: SingleUseStore
  readonly clock: Clock
  readonly issuer: string
}

/** What a request carries for one method: the client id that it claims, and how to check that claim. */
export interface Presented {
  readonly clientId: string
  /** True if the claim is proven. Called only for a client that is registered for this very method. */
  verify(client: Client): Promise<boolean>
  /**
   * Costs what `verify` costs for a wrong credential. Called if there is no such client or if it may not use this method, so that
   * neither the time of the response nor a rate limit shows which clients exist. Only for methods whose credentials cost much.
   */
  refuse?(): Promise<unknown>
}

export interface ClientAuthMethod {
  /**
   * null if the request carries nothing of this method.
   * @throws {OAuthError} if the request carries credentials of this method that are malformed
   */
  present(request: ProtocolRequest): Presented | null
}
