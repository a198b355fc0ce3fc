/** Conditional changes (RFC 9110 §13.1.1). Must not know what the resource is. */

import { AdminError } from './errors.ts'
import type { Condition, Found } from './verbs.ts'

/** @throws {AdminError} precondition-failed, if the resource has another revision than the one that the administrator has seen */
export function assertRevision(revision: number, ifMatch: number | undefined, what: string): void {
  if (ifMatch === undefined || ifMatch === revision) return
  throw new AdminError('precondition-failed', `${what} has changed since you read it: read it again`)
}

/** Each lost attempt means that another administrator was faster. */
const MAX_ATTEMPTS = 20

/**
 * Applies a change that follows from what is there, such as one more member of a list. If another administrator was faster, it is
 * applied again to what is there then.
 * @throws {AdminError} precondition-failed, if others were faster in every attempt
 */
export async function changing<T, R>(
  find: () => Promise<Found<T>>,
  change: (current: T, condition: Condition) => Promise<R>,
): Promise<R> {
  for (let attempt = 1; ; attempt += 1) {
    const { value, revision } = await find()
    try {
      return await change(value, { ifMatch: revision ?? undefined })
    } catch (error) {
      const isLost = error instanceof AdminError && error.problem === 'precondition-failed'
      if (!isLost || attempt === MAX_ATTEMPTS) throw error
    }
  }
}
