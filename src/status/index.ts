/**
 * Puts the Token Status List together: which tokens are revoked, as signed lists. Must not know HTTP or what a token is for.
 * A new part is a file beside this one and a member of `Status`.
 */
import type { DataKeys } from '../keys/data-keys.ts'
import type { Signer } from '../keys/signer.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Seconds } from '../system.ts'
import { createStatusIndices, type StatusIndices } from './status-index-allocator.ts'
import { createStatusBoard, type StatusBoard } from './status-list-cache.ts'
import { createStatusPublisher, type StatusPublisher } from './status-list-signer.ts'

export interface Status {
  /** Gives each token its place in a list. */
  readonly indices: StatusIndices
  /** The lists as this node knows them. */
  readonly cache: StatusBoard
  /** The lists as verifiers read them. */
  readonly lists: StatusPublisher
}

export interface StatusDeps {
  readonly store: Pick<Store, 'status'>
  readonly clock: Clock
  readonly dataKeys: DataKeys
  readonly signer: Signer
  readonly issuer: string
  /** URL of the endpoint, without the number of a list. */
  readonly endpoint: string
  /** How long verifiers may cache a list. */
  readonly ttl: Seconds
}

export async function createStatus(deps: StatusDeps): Promise<Status> {
  const { store, clock, dataKeys, signer, issuer, endpoint, ttl } = deps
  const indices = createStatusIndices({ status: store.status, clock, dataKeys })
  const cache = createStatusBoard({ status: store.status, indices, clock })
  await cache.sync()
  return {
    indices,
    cache,
    lists: createStatusPublisher({ board: cache, signer, clock, issuer, endpoint, ttl }),
  }
}
