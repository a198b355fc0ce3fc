import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Random } from '../system.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { verifyPassword } from './password.ts'
import { RateLimited, type RateLimiter } from './rate-limiter.ts'

export interface UserSuppliedSecretDeps {
  readonly hashingLimiter: ConcurrencyLimiter
  readonly rateLimiter: RateLimiter
  readonly random: Random
}

const MAX_REMEMBERED = 1000

/**
 * Verifies a client secret that an administrator supplied. It may be weak, so it is hashed with argon2id and guesses are
 * rate-limited. A client sends its secret with every token request, so a correct secret is remembered, as a MAC with a key that
 * exists only in this process. So a stranger's guesses do not block the client either.
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

  return async (hash: string, secret: string, clientId: string, ip: string): Promise<boolean> => {
    const remembered = correctSecrets.get(hash)
    if (remembered && timingSafeEqual(remembered, mac(secret))) return true
    return hashingLimiter.run(async () => {
      const counted = await rateLimiter.attempt(`client:${clientId}`, ip)
      if (counted.retryAfter > 0) throw new RateLimited(counted.retryAfter)
      const { ok } = await verifyPassword(hash, secret)
      if (!ok) return false
      await counted.succeeded()
      correctSecrets.set(hash, mac(secret))
      return true
    })
  }
}
