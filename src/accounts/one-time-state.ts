/**
 * Encrypted state that a browser carries from one step to the next, for one step, one user and a limited time. So a step that
 * was begun and abandoned leaves nothing in the store. Must not know what the state is.
 */
import { createHash } from 'node:crypto'
import { type Cipher, DecryptionError } from '../keys/encryption.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { Clock } from '../system.ts'
import { ONE_TIME_STATE_TTL } from './lifetimes.ts'

/** The step that a handle is good for. */
type Step = keyof typeof ONE_TIME_STATE_TTL

interface Carried {
  readonly value: string
  /** True the first time, false for every replay, under any concurrency; once all else has been checked. */
  spend(): Promise<boolean>
}

export interface OneTimeState {
  write(step: Step, userId: string | null, value: string): string
  /** null if it is not ours, of another step or user, or too old. */
  read(step: Step, userId: string | null, handle: string): Carried | null
}

export interface OneTimeStateDeps {
  readonly cipher: Cipher
  readonly singleUse: SingleUseStore
  readonly clock: Clock
}

export function createOneTimeState({ cipher, singleUse, clock }: OneTimeStateDeps): OneTimeState {
  const context = (step: Step, userId: string | null) => `${step}:${userId ?? ''}`

  return {
    write(step, userId, value) {
      return cipher.encrypt(context(step, userId), `${clock.now() + ONE_TIME_STATE_TTL[step]}:${value}`)
    },

    read(step, userId, handle) {
      const text = decrypt(context(step, userId), handle)
      if (text === null) return null
      const colon = text.indexOf(':')
      const until = Number(text.slice(0, colon))
      if (!(clock.now() < until)) return null
      // A ciphertext has one spelling, so its digest identifies it.
      const id = `${step}:${createHash('sha256').update(handle).digest('base64url')}`
      return { value: text.slice(colon + 1), spend: () => singleUse.claim(id, until) }
    },
  }

  function decrypt(as: string, handle: string): string | null {
    try {
      return cipher.decrypt(as, handle)
    } catch (error) {
      if (error instanceof DecryptionError) return null
      throw error
    }
  }
}
