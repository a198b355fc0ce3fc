/**
 * Tokens that were verified before. A hit saves the signature and the parsing, and nothing else: whether the
 * token is still in time, its key still published and its status still good is asked every time by the caller.
 */
import type { AccessTokenClaims } from './claims.ts'
import type { VerificationKey } from './jwks.ts'

export interface Remembered {
  readonly token: string
  readonly claims: AccessTokenClaims
  readonly key: VerificationKey
}

export interface TokenCache {
  get(token: string): Remembered | undefined
  set(remembered: Remembered): void
}

/** Longer tokens are verified each time, so that `size` bounds the memory as well. */
const LONGEST = 4096

/**
 * Tokens are found by the end of their signature, since hashing all of one takes longer than everything else that is
 * done for a hit, and then compared as a whole.
 */
const tail = (token: string): string => token.slice(-43)

/**
 * Two generations of half the size: when the young one is full, the old one is dropped as a whole. As bounded as
 * a list of least recent use, without its bookkeeping on every hit.
 */
export function createTokenCache(size: number): TokenCache {
  if (size === 0) return { get: () => undefined, set() {} }
  const half = Math.ceil(size / 2)
  let young = new Map<string, Remembered>()
  let old = new Map<string, Remembered>()

  function set(remembered: Remembered): void {
    if (remembered.token.length > LONGEST) return
    if (young.size >= half) {
      old = young
      young = new Map()
    }
    young.set(tail(remembered.token), remembered)
  }

  return {
    get(token) {
      const end = tail(token)
      const recent = young.get(end)
      if (recent) return recent.token === token ? recent : undefined
      const earlier = old.get(end)
      if (earlier?.token !== token) return undefined
      set(earlier)
      return earlier
    },
    set,
  }
}
