/** Which scopes are granted, and which API they belong to (RFC 6749 §3.3; RFC 9068 §3). Pure. */
import type { FailureDetail } from '../audit/failure-details.ts'
import { isSameResource } from '../resource-uri.ts'
import type { Client } from '../store/contracts/clients.ts'
import { invalidScope, invalidTarget } from './errors.ts'
import type { Registry } from './registry.ts'

/** Scopes that concern the user or the session and not an API. They need no role. */
export const PROTOCOL_SCOPES: readonly string[] = ['openid', 'profile', 'email', 'roles', 'offline_access']

/** RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
export const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** undefined without a `scope` parameter: the client then requests all its scopes. @throws {OAuthError} invalid_scope */
export function parseScope(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined
  // The grammar has single spaces between scopes. Libraries that join lists send more of them, which is unambiguous too.
  const scopes = value.split(' ').filter((scope) => scope !== '')
  if (scopes.length === 0 || !scopes.every((scope) => SCOPE_TOKEN.test(scope))) {
    throw invalidScope('scope is malformed')
  }
  return [...new Set(scopes)]
}

export interface ScopeRequest {
  /** undefined: all scopes that the client may have. */
  readonly requested: readonly string[] | undefined
  /** The `resource` parameter (RFC 8707). */
  readonly resource: string | undefined
  readonly client: Client
  /** The roles of the user; null if no user is involved. */
  readonly roles: readonly string[] | null
}

export interface Granted {
  readonly scopes: readonly string[]
  readonly audience: string
  /** The API's lifetime of access tokens; null: the API has none. */
  readonly apiTtl: number | null
}

/**
 * granted = requested ∩ registered for the client ∩ scopes of the user's roles, for one API. An API becomes the audience only if
 * one of its scopes is granted.
 * @throws {OAuthError} invalid_scope if scopes were requested and none can be granted, or if they belong to several APIs;
 *   invalid_target if the resource is unknown, or none of its scopes can be granted
 */
export function resolveScopes(request: ScopeRequest, registry: Registry, defaultAudience: string): Granted {
  const { requested, client, resource, roles } = request
  const target = resource === undefined ? undefined : findTarget(resource, registry, defaultAudience)
  const fromRoles = roles === null ? null : registry.scopesOf(roles)

  const allowed = client.scopes.filter(
    (scope) =>
      (fromRoles === null || fromRoles.has(scope) || PROTOCOL_SCOPES.includes(scope)) &&
      (target === undefined ||
        PROTOCOL_SCOPES.includes(scope) ||
        registry.apiOf(scope)?.identifier === target.api),
  )
  const candidates = requested === undefined ? allowed : requested.filter((scope) => allowed.includes(scope))
  const audience = target?.audience ?? audienceOf(candidates, registry, defaultAudience)
  const api = registry.api(audience)
  // A scope that no API owns belongs to the default audience, so a token for an API does not contain it.
  const scopes = candidates.filter(
    (scope) => PROTOCOL_SCOPES.includes(scope) || registry.apiOf(scope)?.identifier === api?.identifier,
  )
  if (requested !== undefined && requested.length > 0 && scopes.length === 0) {
    const detail = refusalDetail(requested, client, fromRoles)
    throw invalidScope('none of the requested scopes can be granted to this client', { detail })
  }
  // A token without any scope of the API would still pass the API's checks of signature, audience and user.
  if (api && !scopes.some((scope) => registry.apiOf(scope)?.identifier === api.identifier)) {
    throw invalidTarget('no scope of the resource can be granted to this client')
  }
  return { scopes, audience, apiTtl: api?.accessTokenTtl ?? null }
}

/**
 * The audience of a token that concerns no API. If the configured one is a registered API, a token without a scope of that API
 * has the issuer as its audience instead.
 */
export function defaultAudienceOf(
  registry: Pick<Registry, 'api'>,
  { issuer, defaultAudience }: { readonly issuer: string; readonly defaultAudience: string },
): string {
  return registry.api(defaultAudience) ? issuer : defaultAudience
}

/** The first of the three conditions that no requested scope meets. */
function refusalDetail(
  requested: readonly string[],
  client: Client,
  fromRoles: ReadonlySet<string> | null,
): FailureDetail {
  const registered = requested.filter((scope) => client.scopes.includes(scope))
  if (registered.length === 0) return 'scope_not_registered'
  const inRoles = registered.some(
    (scope) => fromRoles === null || fromRoles.has(scope) || PROTOCOL_SCOPES.includes(scope),
  )
  return inRoles ? 'scope_of_another_api' : 'scope_not_in_roles'
}

/** `api` is undefined for the default audience, which has all scopes that belong to no API. */
interface Target {
  readonly audience: string
  readonly api: string | undefined
}

function findTarget(resource: string, registry: Registry, defaultAudience: string): Target {
  const api = registry.api(resource)
  if (!api) {
    if (isSameResource(resource, defaultAudience)) return { audience: defaultAudience, api: undefined }
    throw invalidTarget('the resource is unknown')
  }
  return { audience: api.identifier, api: api.identifier }
}

/** RFC 9068 §3: with scopes of two APIs in one token, each API would accept the scopes of the other. */
function audienceOf(scopes: readonly string[], registry: Registry, defaultAudience: string): string {
  const owners = new Set<string>()
  for (const scope of scopes) {
    const api = registry.apiOf(scope)
    if (api) owners.add(api.identifier)
  }
  if (owners.size > 1) throw invalidScope('the scopes belong to several APIs: name one with resource')
  const [owner] = owners
  return owner ?? defaultAudience
}
