/**
 * Tokens that were verified before. A hit saves the signature check and the parsing, and nothing else: on every request
 * the caller checks the times of the token, that its key is still published, and its status.
 */
import type { AccessTokenClaims } from './access-token-claims.ts'
import type { VerificationKey } from './jwks.ts'

interface CachedToken {
  readonly token: string
  readonly claims: AccessTokenClaims
  /** The key that verified the signature. */
  readonly key: VerificationKey
}

interface TokenCache {
  get(token: string): CachedToken | undefined
  set(verified: CachedToken): void
}

/** Longer tokens are not cached, so that the size of the cache bounds its memory. */
const MAX_TOKEN_LENGTH = 4096

/**
 * Tokens are indexed by the end of their signature and then compared as a whole, because hashing a whole token takes
 * longer than the rest of a hit.
 */
const cacheKey = (token: string): string => token.slice(-43)

/**
 * Two generations of half the size: when the young one is full, it becomes the old one, which is dropped. This bounds
 * the memory like an LRU cache, without the bookkeeping on every hit.
 */
export function createTokenCache(size: number): TokenCache {
  if (size === 0) return { get: () => undefined, set() {} }
  const half = Math.ceil(size / 2)
  let young = new Map<string, CachedToken>()
  let old = new Map<string, CachedToken>()

  function set(verified: CachedToken): void {
    if (verified.token.length > MAX_TOKEN_LENGTH) return
    if (young.size >= half) {
      old = young
      young = new Map()
    }
    young.set(cacheKey(verified.token), verified)
  }

  return {
    get(token) {
      const key = cacheKey(token)
      const recent = young.get(key)
      if (recent) return recent.token === token ? recent : undefined
      const earlier = old.get(key)
      if (earlier?.token !== token) return undefined
      set(earlier)
      return earlier
    },
    set,
  }
}
