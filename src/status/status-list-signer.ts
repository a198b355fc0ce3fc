/**
 * Signs status lists as Status List Tokens (draft-ietf-oauth-status-list §5.1). When a verifier requests a list, a new token is
 * signed if the list has changed, or if half of the last token's lifetime has passed. Otherwise the last token is served from
 * memory. Must not know HTTP.
 */
import { createHash } from 'node:crypto'
import { constants, deflateSync, gzipSync } from 'node:zlib'
import type { Signer } from '../keys/signer.ts'
import { singleFlightByKey } from '../single-flight.ts'
import type { Clock, EpochSeconds, Seconds } from '../system.ts'
import type { StatusListCache } from './status-list-cache.ts'

interface PublishedList {
  readonly jwt: string
  /** `jwt`, compressed once for all clients that accept gzip. */
  readonly gzip: Buffer
  readonly etag: string
}

interface PublishedState {
  readonly lists: number
  /** The size of all tokens together. */
  readonly bytes: number
}

export interface StatusListSigner {
  /** null if no unexpired token refers to the list. */
  list(number: number): Promise<PublishedList | null>
  /** The URIs of all lists (§9). */
  uris(): Promise<string[]>
  uri(number: number): string
  /** The number of the list with this URI; null if the text is not the URI of a list. */
  numberOf(uri: string): number | null
  /** The tokens in memory. */
  state(): PublishedState
}

export interface StatusListSignerDeps {
  readonly statusListCache: StatusListCache
  readonly signer: Signer
  readonly clock: Clock
  readonly issuer: string
  /** URL of the endpoint, without the number of a list. */
  readonly endpoint: string
  readonly ttl: Seconds
}

const STATUS_LIST_TYPE = 'statuslist+jwt'

/** `exp`: how long a verifier may use a list if it cannot fetch a newer one. The token is renewed after half of it. */
const VALID_FOR: Seconds = 600
export const statusListLifetime = (ttl: Seconds): Seconds => Math.max(VALID_FOR, 2 * ttl)

interface SignedList {
  readonly version: number
  readonly renewAt: EpochSeconds
  readonly published: PublishedList
}

export function createStatusListSigner(deps: StatusListSignerDeps): StatusListSigner {
  const { statusListCache, signer, clock, issuer, endpoint, ttl } = deps
  const signedLists = new Map<number, SignedList>()
  const signOnce = singleFlightByKey<string, SignedList>()
  const uri = (number: number) => `${endpoint}/${number}`
  const validFor = statusListLifetime(ttl)

  async function sign(number: number, bits: Uint8Array, version: number): Promise<SignedList> {
    const now = clock.now()
    const jwt = await signer.sign(STATUS_LIST_TYPE, {
      iss: issuer,
      sub: uri(number),
      iat: now,
      exp: now + validFor,
      ttl,
      status_list: { bits: 1, lst: compress(bits) },
    })
    const etag = `"${createHash('sha256').update(jwt).digest('base64url')}"`
    return {
      version,
      renewAt: now + validFor / 2,
      published: { jwt, gzip: gzipSync(jwt, { level: 9 }), etag },
    }
  }

  return {
    uri,

    numberOf(text) {
      const number = Number(text.slice(endpoint.length + 1))
      return Number.isSafeInteger(number) && uri(number) === text ? number : null
    },

    async list(number) {
      const list = await statusListCache.list(number)
      if (!list) {
        signedLists.delete(number)
        return null
      }
      const cached = signedLists.get(number)
      const isCurrent =
        cached && cached.version === list.version && Math.abs(cached.renewAt - clock.now()) <= validFor / 2
      if (isCurrent && clock.now() < cached.renewAt) return cached.published
      // One signature for all concurrent requests for the same state of the list.
      const signed = await signOnce(`${number}.${list.version}`, () => sign(number, list.bits, list.version))
      signedLists.set(number, signed)
      return signed.published
    },

    uris: async () => (await statusListCache.listsInUse()).map(uri),

    state() {
      let bytes = 0
      for (const { published } of signedLists.values()) bytes += published.jwt.length
      return { lists: signedLists.size, bytes }
    },
  }
}

/** §4.1, zlib (RFC 1950). A list consists mostly of zeros, and it is faster to search only for runs. */
function compress(bits: Uint8Array): string {
  return deflateSync(bits, { level: 9, strategy: constants.Z_RLE }).toString('base64url')
}
