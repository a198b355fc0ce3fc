/**
 * Composes the parts of the Token Status List: signed lists of revoked tokens. Must not know HTTP, or what a token is for. A new
 * part is a file in this folder and a member of `Status`.
 */
import type { DataKeys } from '../keys/data-keys.ts'
import type { Signer } from '../keys/signer.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Seconds } from '../system.ts'
import { createStatusIndexAllocator, type StatusIndexAllocator } from './status-index-allocator.ts'
import { createStatusListCache, type StatusListCache } from './status-list-cache.ts'
import { createStatusListSigner, type StatusListSigner } from './status-list-signer.ts'

export interface Status {
  /** Allocates a list and an index for each token. */
  readonly indices: StatusIndexAllocator
  /** The lists in this node's memory. */
  readonly cache: StatusListCache
  /** The signed lists for verifiers. */
  readonly lists: StatusListSigner
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
  const indices = createStatusIndexAllocator({ status: store.status, clock, dataKeys })
  const cache = createStatusListCache({ status: store.status, indices, clock })
  await cache.sync()
  return {
    indices,
    cache,
    lists: createStatusListSigner({ statusListCache: cache, signer, clock, issuer, endpoint, ttl }),
  }
}
