/** The rules of scopes: who may have which, and which API they belong to (RFC 6749 §3.3; RFC 9068 §3). Pure. */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Client } from '../store/contracts/clients.ts'
import { invalidScope, invalidTarget } from './errors.ts'
import type { Registry } from './registry.ts'

/** These concern the user or the session, not an API: they need no role. */
export const PROTOCOL_SCOPES: readonly string[] = ['openid', 'profile', 'email', 'offline_access']

/** RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
export const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** @throws {OAuthError} invalid_scope; undefined if there is no `scope` parameter, which means all scopes, not none */
export function parseScope(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined
  const scopes = value.split(' ')
  if (!scopes.every((scope) => SCOPE_TOKEN.test(scope))) throw invalidScope('scope is malformed')
  return [...new Set(scopes)]
}

export interface ScopeRequest {
  /** undefined: the client named no scope, and gets all that it may have. */
  readonly requested: readonly string[] | undefined
  /** The API that the request names (RFC 8707). */
  readonly resource: string | undefined
  readonly client: Client
  /** null where no user is involved. */
  readonly roles: readonly string[] | null
}

export interface Granted {
  readonly scopes: readonly string[]
  readonly audience: string
  /** The API's own lifetime for its access tokens. */
  readonly apiTtl: number | null
}

/**
 * granted = requested ∩ the client's ∩ the roles', for one API. An API is the audience only with a granted scope of its own.
 * @throws {OAuthError} invalid_scope if scopes were requested and none is left, or if they belong to two APIs;
 *   invalid_target if the resource is unknown, or no scope of it can be granted
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
  const scopes = requested === undefined ? allowed : requested.filter((scope) => allowed.includes(scope))
  if (requested !== undefined && requested.length > 0 && scopes.length === 0) {
    const detail = whyNone(requested, client, fromRoles)
    throw invalidScope('none of the requested scopes can be granted to this client', { detail })
  }
  // A token for an API that grants nothing there would still tell the API who the user is, and pass every check but that of a scope.
  if (target?.api && !scopes.some((scope) => registry.apiOf(scope)?.identifier === target.api)) {
    throw invalidTarget('no scope of the resource can be granted to this client')
  }

  const audience = target?.audience ?? audienceOf(scopes, registry, defaultAudience)
  return { scopes, audience, apiTtl: registry.api(audience)?.accessTokenTtl ?? null }
}

/** The first of the three conditions that none of the scopes meets. */
function whyNone(
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

/** `api` is undefined for the default audience: scopes that no API owns belong to it. */
interface Target {
  readonly audience: string
  readonly api: string | undefined
}

function findTarget(resource: string, registry: Registry, defaultAudience: string): Target {
  const api = registry.api(resource)
  if (!api) {
    if (resource === defaultAudience) return { audience: resource, api: undefined }
    throw invalidTarget('the resource is unknown')
  }
  return { audience: api.identifier, api: api.identifier }
}

/** RFC 9068 §3: scopes of two resources in one token would be valid at the wrong one. */
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
