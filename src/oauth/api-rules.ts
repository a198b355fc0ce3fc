/** Which APIs may be registered. Pure; must not know the store, or who registers an API. */
import { isSameResource } from '../resource-uri.ts'
import type { Api } from '../store/contracts/apis.ts'
import { RegistrationError } from './client-registration/registration-error.ts'
import { PROTOCOL_SCOPES, SCOPE_TOKEN } from './scope.ts'

const MAX_IDENTIFIER_LENGTH = 500

/**
 * Whether clients can select the API by `resource` (RFC 8707 §2), which must be an absolute URI. Any other API can be selected only by
 * its scopes; its identifier is still the `aud` of its tokens, as verifiers of an earlier server may expect it.
 */
export const isResourceUri = (identifier: string): boolean => URL.canParse(identifier)

/** @throws {RegistrationError} */
export function checkApi({ identifier, scopes }: Pick<Api, 'identifier' | 'scopes'>): void {
  if (identifier.length > MAX_IDENTIFIER_LENGTH || !/^[\x21-\x7E]+$/.test(identifier)) {
    throw new RegistrationError(
      `identifier must be 1 to ${MAX_IDENTIFIER_LENGTH} printable ASCII characters without spaces`,
    )
  }
  // RFC 8707 §2: clients name the API by its identifier in `resource`, which must not have a fragment.
  if (isResourceUri(identifier) && identifier.includes('#')) {
    throw new RegistrationError('identifier must not have a fragment (RFC 8707 §2)')
  }
  // An API without scopes would be open to every client.
  if (scopes.length === 0) throw new RegistrationError('an API needs at least one scope')
  for (const scope of scopes) checkApiScope(scope)
}

/**
 * Tokens for no API are for the issuer, such as those of a sign-in without other scopes. If the issuer were an API, none of them
 * could be issued: they would pass the checks of that API without any of its scopes.
 * @throws {RegistrationError}
 */
export function checkNotIssuer(identifier: string, issuer: string): void {
  if (!isSameResource(identifier, issuer)) return
  throw new RegistrationError(
    `the issuer cannot be an API: tokens of users who only sign in are for it; choose another URI, such as ${issuer.replace(/\/$/, '')}/api`,
  )
}

/** @throws {RegistrationError} */
export function checkApiScope(scope: string): void {
  if (!SCOPE_TOKEN.test(scope)) {
    throw new RegistrationError(
      'scope must be printable ASCII without spaces, quotes or backslashes (RFC 6749 §3.3)',
    )
  }
  // These scopes need no role, so an API that owned one would be open to every user.
  if (PROTOCOL_SCOPES.includes(scope)) {
    throw new RegistrationError(
      `${scope} is a scope of the protocol: no API can own it, and no role grants it`,
    )
  }
}
