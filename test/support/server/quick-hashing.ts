/** Hashes passwords as quickly as argon2 allows, in this process: at the real cost, hashing takes a fifth of the time of all tests. */
import { ARGON2_PARAMETERS } from '../../../src/accounts/password.ts'
import type { Owner } from '../processes/data-folder.ts'

/** The cost at which the program hashes. */
export const REAL_COST = { ...ARGON2_PARAMETERS }

const QUICK_COST = { memoryCost: 256, timeCost: 1 }
Object.assign(ARGON2_PARAMETERS, QUICK_COST)

/** Hashes at the real cost until the owner ends. */
export function hashAtRealCost(owner: Owner): void {
  Object.assign(ARGON2_PARAMETERS, REAL_COST)
  owner.teardown(() => Object.assign(ARGON2_PARAMETERS, QUICK_COST))
}
