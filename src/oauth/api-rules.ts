/** What an API may be. Pure; must not know who registers it, or the store. */
import type { Api } from '../store/contracts/apis.ts'
import { RegistrationError } from './client-registration/registration-error.ts'
import { PROTOCOL_SCOPES, SCOPE_TOKEN } from './scope.ts'

const LONGEST = 500

/**
 * Best an absolute URI: another name can be meant by its scopes, but not by `resource` (RFC 8707 §2).
 * @throws {RegistrationError}
 */
export function checkApi({ identifier, scopes }: Pick<Api, 'identifier' | 'scopes'>): void {
  if (identifier.length > LONGEST || !/^[\x21-\x7E]+$/.test(identifier)) {
    throw new RegistrationError(`identifier must be 1 to ${LONGEST} printable ASCII characters without space`)
  }
  // An API without scopes would be open to every client.
  if (scopes.length === 0) throw new RegistrationError('an API needs a scope')
  for (const scope of scopes) checkApiScope(scope)
}

/** @throws {RegistrationError} */
export function checkApiScope(scope: string): void {
  if (!SCOPE_TOKEN.test(scope)) {
    throw new RegistrationError(
      'scope must be printable ASCII without space, quote or backslash (RFC 6749 §3.3)',
    )
  }
  // Nobody needs a role for these, so an API that owned one would be open to everybody.
  if (PROTOCOL_SCOPES.includes(scope)) {
    throw new RegistrationError(
      `${scope} is a scope of the protocol, no API can own it and no role grants it`,
    )
  }
}
