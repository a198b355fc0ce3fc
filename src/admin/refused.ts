/** The errors of the rules of registration, as errors of administration. Must not know any rule. */
import { ClientSecretRefused, RegistrationError } from '../oauth/client-registration/registration-error.ts'
import { AdminError, conflict, invalidValue } from './errors.ts'

/**
 * Runs a verb, or a part of it.
 * @param field the member of the request for a rule that does not know it
 * @throws {AdminError}
 */
export async function refusing<T>(field: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RegistrationError) throw invalidValue(error.field ?? field, error.message, error)
    if (error instanceof ClientSecretRefused)
      throw error.needsForce ? new AdminError('force-needed', error.message) : conflict(error.message)
    throw error
  }
}
