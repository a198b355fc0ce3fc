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
  /** Whether a token's index is revoked, as far as this node knows. False if no unexpired token refers to the list. */
  isRevoked(reference: StatusReference): Promise<boolean>
}

/** The `status_list` claim of a token (draft-ietf-oauth-status-list §6.2). */
interface StatusReference {
  readonly uri: string
  readonly idx: number
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
  const lists = createStatusListSigner({ statusListCache: cache, signer, clock, issuer, endpoint, ttl })
  return {
    indices,
    cache,
    lists,
    async isRevoked({ uri, idx }) {
      const number = lists.numberOf(uri)
      const list = number === null ? null : await cache.list(number)
      // §4.1: the first index of a byte is its least significant bit.
      return (((list?.bits[Math.floor(idx / 8)] ?? 0) >> (idx % 8)) & 1) === 1
    },
  }
}
