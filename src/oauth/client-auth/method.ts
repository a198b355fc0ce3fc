/**
 * The contract of a client authentication method (RFC 6749 §2.3). Must not know grants. A new method is a file beside this one
 * and a line in index.ts.
 */
import type { WriteLimiter } from '../../accounts/write-limiter.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock } from '../../system.ts'
import type { ClientAuthorities } from '../mtls/client-authorities.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { ClientKeys } from './client-keys.ts'
import type { SecretVerifier } from './secret.ts'

/** The dependencies of all methods. Each factory takes those that it needs. */
export interface ClientAuthMethodDeps {
  readonly secrets: SecretVerifier
  readonly clientKeys: ClientKeys
  /** null without the setting. */
  readonly clientAuthorities: ClientAuthorities | null
  readonly singleUse: Pick<SingleUseStore, 'claim'>
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly clock: Clock
  readonly issuer: string
}

/** The credentials of one method in a request: the claimed client id, and how to verify the claim. */
export interface Credentials {
  readonly clientId: string
  /** Whether the request has nothing but the id, so that only the registration says which method it is. */
  readonly alone?: boolean
  /** True if the credentials are valid. Called only if the client may use this method. */
  verify(client: Client): Promise<boolean>
  /**
   * Takes as long as `verify` does for a wrong credential, and is counted in the same way. Called if there is no such client or
   * if it may not use this method, so that neither the time of the response nor a rate limit shows which clients exist. Only
   * methods whose verification is expensive have it.
   */
  imitateVerify?(): Promise<unknown>
}

export interface ClientAuthMethod {
  /**
   * Returns null if the request has no credentials of this method.
   * @throws {OAuthError} if the request has malformed credentials of this method
   */
  findCredentials(request: ProtocolRequest): Credentials | null
}
