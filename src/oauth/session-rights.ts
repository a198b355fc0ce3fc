/**
 * What a session may have now. Every grant, refresh, userinfo and introspection request uses this module, so a token never
 * contains more than was requested, registered for the client, granted by the user's roles, and shown to the user. Must not know
 * the store or any grant. Add new conditions on the contents of tokens here.
 */
import { ACR_MFA, satisfies } from '../accounts/amr.ts'
import type { Config } from '../config/load.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { User } from '../store/contracts/users.ts'
import type { EpochSeconds } from '../system.ts'
import { invalidGrant, invalidTarget, unauthorizedClient } from './errors.ts'
import type { Registry } from './registry.ts'
import { defaultAudienceOf, type Granted, resolveScopes } from './scope.ts'

export interface Rights extends Granted {
  /** The user's roles that grant one of the scopes; empty if no user is involved. */
  readonly roles: readonly string[]
}

/** The client and the user, as they are registered now. */
export interface Parties {
  readonly client: Client
  /** null if no user is involved (RFC 6749 §4.4). */
  readonly user: User | null
}

/** What a code or a client session was granted earlier, which limits everything that follows. */
export interface EarlierGrant {
  readonly scopes: readonly string[]
  readonly audience: string
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
  readonly grantedAt: EpochSeconds
}

interface GrantRights extends Parties {
  /** undefined: all scopes that the client may have. */
  readonly requested: readonly string[] | undefined
  /** The `resource` parameter (RFC 8707). */
  readonly resource: string | undefined
  readonly amr: readonly string[]
}

export interface SessionRights {
  /** Returns the rights of a new grant. @throws {OAuthError} invalid_grant, invalid_scope, invalid_target, unauthorized_client */
  grant(request: GrantRights): Rights
  /**
   * Returns the part of an earlier grant that can still be granted, limited to the `requested` scopes.
   * @throws {OAuthError} if nothing can be granted
   */
  remaining(earlier: EarlierGrant, parties: Parties, requested?: readonly string[]): Rights
}

export interface SessionRightsDeps {
  readonly registry: Registry
  readonly config: Pick<Config, 'issuer' | 'defaultAudience'>
}

export function createSessionRights({ registry, config }: SessionRightsDeps): SessionRights {
  function resolve({ client, user, requested, resource, amr }: GrantRights): Rights {
    if (client.disabled) throw unauthorizedClient('the client is disabled', { detail: 'client_disabled' })
    if (user) checkUser(client, user, amr)
    const granted = resolveScopes(
      { requested, resource, client, roles: user?.roles ?? null },
      registry,
      defaultAudienceOf(registry, config),
    )
    return { ...granted, roles: user ? rolesGranting(user.roles, granted.scopes) : [] }
  }

  /** Checks the second factor against the present rules, not those that applied when the user signed in. */
  function checkUser(client: Client, user: User, amr: readonly string[]): void {
    if (user.disabled) throw invalidGrant('the account is disabled', { detail: 'user_disabled' })
    const required = client.requireSecondFactor || registry.requiresSecondFactor(user.roles)
    if (required && !satisfies(amr, ACR_MFA)) {
      throw invalidGrant('a second factor is required: the user must sign in again', {
        detail: 'second_factor_required',
      })
    }
  }

  /** The API was deleted, and another one has its identifier now: what was granted for the first one is not valid for the second. */
  function checkSameApi({ audience, grantedAt }: EarlierGrant): void {
    const api = registry.api(audience)
    if (api && api.createdAt > grantedAt) {
      throw invalidTarget('the API of the grant was deleted', { detail: 'api_deleted' })
    }
  }

  /** A role concerns one API, so tokens for other APIs do not contain it (RFC 9068 §2.2.3.1). */
  function rolesGranting(roles: readonly string[], scopes: readonly string[]): string[] {
    return roles.filter((role) => {
      const grants = registry.scopesOf([role])
      return scopes.some((scope) => grants.has(scope))
    })
  }

  return {
    grant: resolve,
    remaining(earlier, parties, requested = earlier.scopes) {
      const { scopes, audience, amr } = earlier
      checkSameApi(earlier)
      const within = requested.filter((scope) => scopes.includes(scope))
      return resolve({ ...parties, requested: within, resource: audience, amr })
    },
  }
}
