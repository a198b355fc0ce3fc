/**
 * Encrypted state that a browser carries from one request to the next. It is bound to one step and one user, and it expires. So a
 * step that a user abandons leaves nothing in the store. Must not know what the state contains.
 */
import { createHash } from 'node:crypto'
import { type Cipher, DecryptionError } from '../keys/encryption.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { Clock } from '../system.ts'
import { ONE_TIME_STATE_TTL } from './lifetimes.ts'
import type { WriteLimiter } from './write-limiter.ts'

/** The step that the state belongs to. */
type Step = keyof typeof ONE_TIME_STATE_TTL

interface OneTimeValue {
  readonly value: string
  /**
   * Call after all other checks. Returns true for exactly one of any number of concurrent callers, false for every replay, and
   * false if the user has consumed too many.
   */
  consume(userId: string): Promise<boolean>
}

export interface OneTimeState {
  create(step: Step, userId: string | null, value: string): string
  /** null if Keyturn did not create the state for this step and user, or if it has expired. */
  read(step: Step, userId: string | null, encrypted: string): OneTimeValue | null
}

export interface OneTimeStateDeps {
  readonly cipher: Cipher
  readonly singleUse: Pick<SingleUseStore, 'claim'>
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly clock: Clock
}

export function createOneTimeState({
  cipher,
  singleUse,
  writeLimiter,
  clock,
}: OneTimeStateDeps): OneTimeState {
  const contextOf = (step: Step, userId: string | null) => `${step}:${userId ?? ''}`

  return {
    create(step, userId, value) {
      return cipher.encrypt(contextOf(step, userId), `${clock.now() + ONE_TIME_STATE_TTL[step]}:${value}`)
    },

    read(step, userId, encrypted) {
      const text = decrypt(contextOf(step, userId), encrypted)
      if (text === null) return null
      const colon = text.indexOf(':')
      const expiresAt = Number(text.slice(0, colon))
      if (!(clock.now() < expiresAt)) return null
      // Each ciphertext has exactly one encoding, so its digest identifies it.
      const id = `${step}:${createHash('sha256').update(encrypted).digest('base64url')}`
      return {
        value: text.slice(colon + 1),
        consume: async (ownerId) =>
          writeLimiter.take('factorStep', ownerId) === 0 && (await singleUse.claim(id, expiresAt)),
      }
    },
  }

  function decrypt(context: string, encrypted: string): string | null {
    try {
      return cipher.decrypt(context, encrypted)
    } catch (error) {
      if (error instanceof DecryptionError) return null
      throw error
    }
  }
}
