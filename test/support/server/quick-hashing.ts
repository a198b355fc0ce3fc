/** Hashes passwords as quickly as argon2 allows, in this process: at the real cost, hashing takes a fifth of the time of all tests. */
import { ARGON2_PARAMETERS } from '../../../src/accounts/password.ts'

/** The cost at which the program hashes. */
export const REAL_COST = { ...ARGON2_PARAMETERS }

const QUICK_COST = { memoryCost: 256, timeCost: 1 }
Object.assign(ARGON2_PARAMETERS, QUICK_COST)

/** Runs `work` with the real cost. */
export async function atRealCost<T>(work: () => Promise<T>): Promise<T> {
  Object.assign(ARGON2_PARAMETERS, REAL_COST)
  try {
    return await work()
  } finally {
    Object.assign(ARGON2_PARAMETERS, QUICK_COST)
  }
}
