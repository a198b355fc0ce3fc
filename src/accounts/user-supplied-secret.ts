import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Random } from '../system.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { ipPrefix } from './ip-prefix.ts'
import { findHash } from './password.ts'
import { CLIENT_SECRET_LIMITS, RateLimited, type RateLimiter } from './rate-limiter.ts'

export interface UserSuppliedSecretDeps {
  readonly hashingLimiter: ConcurrencyLimiter
  readonly rateLimiter: RateLimiter
  readonly random: Random
}

const MAX_REMEMBERED = 1000

/**
 * Verifies a client secret that an administrator supplied. It may be weak, so it is hashed with argon2id and guesses are
 * rate-limited. A client sends its secret with every token request, so a correct secret is remembered, as a MAC with a key that
 * exists only in this process. So the rate limit, which anyone can exhaust, does not block the client. Comparisons with the
 * MAC are not counted as guesses, so the secret is remembered only for the IP prefix that sent it.
 *
 * The returned function returns the hash that is of the secret. It takes as long if there are no hashes, and then returns null. Two
 * hashes must have one salt (password.ts).
 */
export function createUserSuppliedSecretVerifier({
  hashingLimiter,
  rateLimiter,
  random,
}: UserSuppliedSecretDeps) {
  // A key object, because Node.js would create one from bytes for each MAC, which takes longer than the MAC.
  const key = createSecretKey(random.bytes(32))
  const correctSecrets = new LRUCache<string, Buffer>({ max: MAX_REMEMBERED })
  const mac = (secret: string) => createHmac('sha256', key).update(secret).digest()

  return async (
    hashes: readonly string[],
    secret: string,
    clientId: string,
    ip: string,
  ): Promise<string | null> => {
    const prefix = ipPrefix(ip)
    for (const hash of hashes) {
      const remembered = correctSecrets.get(`${hash} ${prefix}`)
      if (remembered && timingSafeEqual(remembered, mac(secret))) return hash
    }
    const guess = await rateLimiter.prepare(`client:${clientId}`, ip, CLIENT_SECRET_LIMITS)
    if ('retryAfter' in guess) throw new RateLimited(guess.retryAfter)
    const origin = { kind: 'client_secret', ip, knownLocation: guess.knownLocation } as const
    return hashingLimiter.run(async () => {
      const retryAfter = await guess.count()
      if (retryAfter > 0) throw new RateLimited(retryAfter)
      const hash = await findHash(hashes, secret)
      if (hash === null) return null
      await guess.succeeded()
      correctSecrets.set(`${hash} ${prefix}`, mac(secret))
      return hash
    }, origin)
  }
}
