/**
 * Tokens that were verified before. A hit saves the signature and the parsing, and nothing else: whether the
 * token is still in time, its key still published and its status still good is asked every time by the caller.
 */
import type { AccessTokenClaims } from './claims.ts'
import type { VerificationKey } from './jwks.ts'

export interface Remembered {
  readonly claims: AccessTokenClaims
  readonly key: VerificationKey
}

export interface TokenCache {
  get(token: string): Remembered | undefined
  set(token: string, remembered: Remembered): void
}

/** Longer tokens are verified each time, so that `size` bounds the memory as well. */
const LONGEST = 4096

/**
 * Two generations of half the size: when the young one is full, the old one is dropped as a whole. As bounded as
 * a list of least recent use, without its bookkeeping on every hit.
 */
export function createTokenCache(size: number): TokenCache {
  const half = Math.ceil(size / 2)
  let young = new Map<string, Remembered>()
  let old = new Map<string, Remembered>()

  function set(token: string, remembered: Remembered): void {
    if (size === 0 || token.length > LONGEST) return
    if (young.size >= half) {
      old = young
      young = new Map()
    }
    young.set(token, remembered)
  }

  return {
    get(token) {
      const recent = young.get(token)
      if (recent) return recent
      const earlier = old.get(token)
      if (earlier) set(token, earlier)
      return earlier
    },
    set,
  }
}
