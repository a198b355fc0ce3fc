/** Which APIs may be registered. Pure; must not know the store, or who registers an API. */
import { ALGORITHM_NAMES } from '../algorithm-names.ts'
import { isAlgorithm } from '../keys/algorithms.ts'
import { isDotSegment } from '../path-segment.ts'
import { isSameResource } from '../resource-uri.ts'
import type { Api } from '../store/contracts/apis.ts'
import type { New } from '../store/contracts/update.ts'
import { prepareName } from '../visible-text.ts'
import { inField, RegistrationError } from './client-registration/registration-error.ts'
import { PROTOCOL_SCOPES, SCOPE_TOKEN } from './scope.ts'

const MAX_IDENTIFIER_LENGTH = 500
const MAX_NAME_LENGTH = 200
const MAX_TEXT_LENGTH = 300

/**
 * Whether clients can select the API by `resource` (RFC 8707 §2), which must be an absolute URI. Any other API can be selected only by
 * its scopes; its identifier is still the `aud` of its tokens, as verifiers of an earlier server may expect it.
 */
export const isResourceUri = (identifier: string): boolean => URL.canParse(identifier)

/** @throws {RegistrationError} */
export function checkApi(
  api: Pick<Api, 'identifier' | 'scopes'> & Partial<Pick<Api, 'name' | 'scopeTexts' | 'signingAlg'>>,
): void {
  const { identifier, scopes, name = null, scopeTexts = {}, signingAlg = null } = api
  inField('identifier', () => checkIdentifier(identifier))
  inField('scopes', () => checkScopes(scopes))
  if (name !== null && apiName(name) === null) {
    throw refuse(`name must be 1 to ${MAX_NAME_LENGTH} printable characters`, 'name')
  }
  if (signingAlg !== null && !isAlgorithm(signingAlg)) {
    throw refuse(`signing_alg must be one of ${ALGORITHM_NAMES.join(', ')}`, 'signing_alg')
  }
  for (const [scope, text] of Object.entries(scopeTexts)) {
    if (!scopes.includes(scope)) {
      throw refuse(`the API has no scope ${scope} that a text could be for`, 'scope_texts')
    }
    if (scopeText(text) === null) {
      const message = `the text of ${scope} must be 1 to ${MAX_TEXT_LENGTH} printable characters`
      throw refuse(message, 'scope_texts')
    }
  }
}

const refuse = (message: string, field: string): RegistrationError =>
  new RegistrationError(message, 'invalid_client_metadata', undefined, field)

function checkIdentifier(identifier: string): void {
  if (identifier.length > MAX_IDENTIFIER_LENGTH || !/^[\x21-\x7E]+$/.test(identifier)) {
    throw new RegistrationError(
      `identifier must be 1 to ${MAX_IDENTIFIER_LENGTH} printable ASCII characters without spaces`,
    )
  }
  if (isDotSegment(identifier))
    throw new RegistrationError('identifier must not be . or .., which mean a folder in a URL')
  // RFC 8707 §2: clients name the API by its identifier in `resource`, which must not have a fragment.
  if (isResourceUri(identifier) && identifier.includes('#')) {
    throw new RegistrationError('identifier must not have a fragment (RFC 8707 §2)')
  }
}

function checkScopes(scopes: readonly string[]): void {
  // An API without scopes would be open to every client.
  if (scopes.length === 0) throw new RegistrationError('an API needs at least one scope')
  for (const scope of scopes) checkApiScope(scope)
}

/** The form in which the name of an API is stored and shown; null if no API can have it. */
export const apiName = (name: string): string | null => prepareName(name, MAX_NAME_LENGTH)

/** The form in which the text of a scope is stored and shown; null if no scope can have it. */
export const scopeText = (text: string): string | null => prepareName(text, MAX_TEXT_LENGTH)

/**
 * The texts of the scopes after a change, in the form in which they are stored. A text that cannot be stored is left as it is, for
 * {@link checkApi} to refuse.
 * @param changes null removes the text of a scope
 */
export function changedTexts(
  { scopes, scopeTexts }: Pick<Api, 'scopes' | 'scopeTexts'>,
  changes: ReadonlyMap<string, string | null>,
): Readonly<Record<string, string>> {
  const kept = Object.entries(scopeTexts).filter(([scope]) => scopes.includes(scope) && !changes.has(scope))
  const given = [...changes].flatMap(([scope, text]) =>
    text === null ? [] : [[scope, scopeText(text) ?? text] as const],
  )
  return Object.fromEntries([...kept, ...given])
}

/** The metadata of an API. */
export function describeApi(api: New<Api>) {
  return {
    identifier: api.identifier,
    ...(api.name === null ? {} : { name: api.name }),
    scopes: api.scopes,
    ...(Object.keys(api.scopeTexts).length === 0 ? {} : { scope_texts: api.scopeTexts }),
    access_token_ttl: api.accessTokenTtl,
    ...(api.signingAlg === null ? {} : { signing_alg: api.signingAlg }),
    created_at: api.createdAt,
  }
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
