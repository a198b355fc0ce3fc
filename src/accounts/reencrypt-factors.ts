/** Secrets of authenticator apps, under the newest root: then none of them depends on another. Must not know why there is one. */
import { createStoredSealer, type Roots } from '../keys/data-keys.ts'
import { SealBroken } from '../keys/encryption.ts'
import type { FactorStore } from '../store/contracts/factors.ts'
import type { Random } from '../system.ts'
import { SEALED_FACTORS, totpLabel } from './totp.ts'

/** At once; a request waits for no more than one of them. */
const BATCH = 100

export interface ResealFactorsDeps {
  readonly factors: Pick<FactorStore, 'listTotpBefore' | 'resealTotp'>
  readonly roots: Pick<Roots, 'known'>
  readonly random: Pick<Random, 'bytes'>
}

/** Answers how many were sealed anew. */
export function createResealFactors({ factors, roots, random }: ResealFactorsDeps): () => Promise<number> {
  const sealer = createStoredSealer(roots, random, SEALED_FACTORS)

  async function move(userId: string, sealed: string, root: number): Promise<boolean> {
    const label = totpLabel(userId)
    try {
      return await factors.resealTotp(userId, sealed, sealer.seal(label, sealer.open(label, sealed)), root)
    } catch (error) {
      // One that is damaged is its owner's trouble; the others must not wait for it.
      if (error instanceof SealBroken) return false
      throw error
    }
  }

  return async () => {
    const [newest, ...older] = roots.known()
    let done = 0
    while (newest && older.length > 0) {
      const rows = await factors.listTotpBefore(newest.number, BATCH)
      let moved = 0
      for (const { userId, sealed } of rows) if (await move(userId, sealed, newest.number)) moved += 1
      done += moved
      // What was not moved is gone, damaged, or another by now: no reason to try for ever.
      if (rows.length < BATCH || moved === 0) break
    }
    return done
  }
}
