/**
 * Parses the parameters of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1). Errors are sent to the
 * client. Pure; must not know which user is signed in.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { Seconds } from '../../system.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import { type Pair, type Parameters, parametersOf, repeatedIn } from '../parameters.ts'
import { isCodeChallenge, pkcePolicyOf } from '../pkce.ts'
import { parseResource } from '../resource.ts'
import { parseScope } from '../scope.ts'
import { knownClaims } from '../user-claims.ts'
import { RESPONSE_MODES, type RedirectTarget } from './redirect-target.ts'

export const PROMPTS = ['none', 'login', 'consent', 'select_account'] as const
export type Prompt = (typeof PROMPTS)[number]

export interface AuthorizationRequest extends RedirectTarget {
  /** undefined: all scopes that the client may have. */
  readonly scopes: readonly string[] | undefined
  readonly resource: string | undefined
  /** S256; null only if the request has a nonce instead (OAuth 2.1 §7.5.1). */
  readonly codeChallenge: string | null
  readonly nonce: string | undefined
  readonly prompts: ReadonlySet<Prompt>
  readonly maxAge: Seconds | undefined
  readonly loginHint: string | undefined
  readonly idTokenHint: string | undefined
  readonly uiLocales: readonly string[]
  readonly acrValues: readonly string[]
  /** Values of an essential `acr` claim, one of which must be reached (OIDC Core §5.5.1.1). */
  readonly essentialAcr: readonly string[]
  /** Known claims that are requested by name (OIDC Core §5.5). */
  readonly requestedClaims: { readonly idToken: readonly string[]; readonly userinfo: readonly string[] }
  /** The thumbprint of the key that the code is bound to (RFC 9449 §10). */
  readonly dpopJkt: string | null
  /** The user that the client expects (OIDC Core §5.5.1). */
  readonly subject: string | undefined
}

const MAX_NONCE_LENGTH = 1024
const MAX_MAX_AGE: Seconds = 2 ** 31

/** @throws {OAuthError} that is sent to the client */
export function readRequest(target: RedirectTarget, pairs: readonly Pair[]): AuthorizationRequest {
  const [repeated] = repeatedIn(pairs)
  if (repeated !== undefined) throw invalidRequest('a parameter is repeated')
  const parameters = parametersOf(pairs)
  checkResponse(parameters)
  const scopes = parseScope(parameters.get('scope'))
  const nonce = parameters.get('nonce')
  if (nonce !== undefined && nonce.length > MAX_NONCE_LENGTH) throw invalidRequest('nonce is too long')
  return {
    ...target,
    scopes,
    resource: parseResource(parameters.all('resource')),
    codeChallenge: challengeOf(target, parameters, scopes),
    nonce,
    prompts: promptsOf(parameters.get('prompt')),
    maxAge: maxAgeOf(parameters.get('max_age')),
    loginHint: parameters.get('login_hint'),
    dpopJkt: thumbprintOf(parameters.get('dpop_jkt')),
    idTokenHint: parameters.get('id_token_hint'),
    uiLocales: words(parameters.get('ui_locales')),
    acrValues: words(parameters.get('acr_values')),
    ...readClaims(parameters.get('claims'), target.client),
  }
}

function checkResponse(parameters: Parameters): void {
  const type = parameters.get('response_type')
  if (type === undefined) throw invalidRequest('response_type is missing')
  // RFC 9700 §2.1.2: response types that put a token into a URL are not supported.
  if (type !== 'code') throw new OAuthError('unsupported_response_type', 'response_type must be code')
  const mode = parameters.get('response_mode')
  if (mode !== undefined && !isOneOf(RESPONSE_MODES, mode)) {
    throw invalidRequest(`response_mode must be one of ${RESPONSE_MODES.join(', ')}`)
  }
}

function challengeOf(
  { client }: RedirectTarget,
  parameters: Parameters,
  scopes: readonly string[] | undefined,
): string | null {
  const challenge = parameters.get('code_challenge')
  const method = parameters.get('code_challenge_method')
  if (challenge === undefined) {
    if (method !== undefined) throw invalidRequest('code_challenge_method without code_challenge')
    checkWithoutPkce(client, scopes, parameters.get('nonce'))
    return null
  }
  // RFC 7636 §4.3: the default is `plain`, which is not supported.
  if (method !== 'S256') throw invalidRequest('code_challenge_method must be S256')
  if (!isCodeChallenge(challenge)) throw invalidRequest('code_challenge is malformed')
  return challenge
}

/**
 * OAuth 2.1 §7.5.1, RFC 9700 §2.1.1: without PKCE, a stolen code can be injected into another session, and only the nonce in an ID
 * token tells a confidential client that the code is from its own request.
 */
function checkWithoutPkce(client: Client, scopes: readonly string[] | undefined, nonce: string | undefined) {
  if (client.authMethod === 'none') {
    throw invalidRequest('code_challenge is missing: a public client must use PKCE with S256')
  }
  if (pkcePolicyOf(client) === 'required') {
    throw invalidRequest(
      'code_challenge is missing: the client is registered with --pkce required; with --pkce optional, the scope openid and a nonce are enough',
    )
  }
  const problems = [
    ...(scopes?.includes('openid') ? [] : ['the scope openid is missing']),
    ...(client.scopes.includes('openid') ? [] : ['the client is not registered for the scope openid']),
    ...(nonce === undefined ? ['nonce is missing'] : []),
  ]
  if (problems.length === 0) return
  throw invalidRequest(
    `code_challenge (PKCE with S256) is missing; --pkce optional allows the scope openid with a nonce instead, but ${problems.join(', and ')}`,
  )
}

/** A SHA-256 hash in base64url (RFC 9449 §10). A code that is bound to anything else could never be redeemed. */
function thumbprintOf(value: string | undefined): string | null {
  if (value === undefined) return null
  if (!/^[A-Za-z0-9_-]{43}$/.test(value)) throw invalidRequest('dpop_jkt is not the thumbprint of a key')
  return value
}

function promptsOf(value: string | undefined): ReadonlySet<Prompt> {
  const prompts = new Set<Prompt>()
  for (const word of words(value)) {
    if (!isOneOf(PROMPTS, word)) throw invalidRequest('prompt is not supported')
    prompts.add(word)
  }
  if (prompts.has('none') && prompts.size > 1)
    throw invalidRequest('prompt=none must not be combined with other values')
  return prompts
}

function maxAgeOf(value: string | undefined): Seconds | undefined {
  if (value === undefined) return undefined
  const seconds = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (!(seconds <= MAX_MAX_AGE)) throw invalidRequest('max_age must be a number of seconds')
  return seconds
}

/** OIDC Core §5.5: unknown claims are ignored; a malformed object is refused. */
function readClaims(
  text: string | undefined,
  client: Client,
): Pick<AuthorizationRequest, 'requestedClaims' | 'essentialAcr' | 'subject'> {
  if (text === undefined)
    return { requestedClaims: { idToken: [], userinfo: [] }, essentialAcr: [], subject: undefined }
  const requested = objectOf(parseJson(text))
  const idToken = objectOf(requested.id_token ?? {})
  const userinfo = objectOf(requested.userinfo ?? {})
  const acr = objectOf(idToken.acr ?? {})
  const subject = objectOf(idToken.sub ?? userinfo.sub ?? {}).value
  const known = (claims: object) => knownClaims(Object.keys(claims), client)
  return {
    requestedClaims: { idToken: known(idToken), userinfo: known(userinfo) },
    essentialAcr:
      acr.essential === true
        ? [acr.value, acr.values].flat().filter((value): value is string => typeof value === 'string')
        : [],
    subject: typeof subject === 'string' ? subject : undefined,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalidRequest('claims is not JSON', { cause: error })
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidRequest('claims is malformed')
  }
  return value as Record<string, unknown>
}

const words = (value: string | undefined): string[] => value?.split(' ').filter((word) => word !== '') ?? []

function isOneOf<T extends string>(names: readonly T[], name: string): name is T {
  return (names as readonly string[]).includes(name)
}
