/** What an API may be. Pure; must not know who registers it, or the store. */
import type { Api } from '../store/contracts/apis.ts'
import { RegistrationError } from './registration-error.ts'
import { isResource } from './resource.ts'
import { PROTOCOL_SCOPES, SCOPE_TOKEN } from './scope.ts'

const LONGEST = 500

/** @throws {RegistrationError} */
export function checkApi({ identifier, scopes }: Pick<Api, 'identifier' | 'scopes'>): void {
  // Clients name it as `resource`, so it must be something that may stand there.
  if (!isResource(identifier) || identifier.length > LONGEST || !/^[\x21-\x7E]+$/.test(identifier)) {
    throw new RegistrationError(
      'identifier must be an absolute URI without fragment, such as https://orders.example (RFC 8707 §2)',
    )
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
