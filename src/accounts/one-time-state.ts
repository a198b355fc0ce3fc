/**
 * What a browser carries for us from one step to the next: sealed, for one step and one user, and only for a
 * while. So a step that was begun and left fills no table. Must not know what it carries.
 */
import { createHash } from 'node:crypto'
import { SealBroken, type Sealer } from '../keys/encryption.ts'
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

export interface Handles {
  write(step: Step, userId: string | null, value: string): string
  /** null if it is not ours, of another step or user, or too old. */
  read(step: Step, userId: string | null, handle: string): Carried | null
}

export interface HandlesDeps {
  readonly sealer: Sealer
  readonly singleUse: SingleUseStore
  readonly clock: Clock
}

export function createHandles({ sealer, singleUse, clock }: HandlesDeps): Handles {
  const label = (step: Step, userId: string | null) => `${step}:${userId ?? ''}`

  return {
    write(step, userId, value) {
      return sealer.seal(label(step, userId), `${clock.now() + ONE_TIME_STATE_TTL[step]}:${value}`)
    },

    read(step, userId, handle) {
      const text = open(label(step, userId), handle)
      if (text === null) return null
      const colon = text.indexOf(':')
      const until = Number(text.slice(0, colon))
      if (!(clock.now() < until)) return null
      // A seal has one spelling, so its digest names it.
      const id = `${step}:${createHash('sha256').update(handle).digest('base64url')}`
      return { value: text.slice(colon + 1), spend: () => singleUse.claim(id, until) }
    },
  }

  function open(as: string, handle: string): string | null {
    try {
      return sealer.open(as, handle)
    } catch (error) {
      if (error instanceof SealBroken) return null
      throw error
    }
  }
}
