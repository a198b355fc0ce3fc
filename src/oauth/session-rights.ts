/**
 * What a session may have now. Every grant, refresh, userinfo and introspection asks this module, so a token never
 * contains more than was requested, the client is registered for, the roles of the user grant, and the user was shown.
 * Must not know the store or any grant; a new condition on what tokens may contain is added here.
 */
import { ACR_MFA, satisfies } from '../accounts/amr.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { User } from '../store/contracts/users.ts'
import { invalidGrant, unauthorizedClient } from './errors.ts'
import type { Registry } from './registry.ts'
import { type Granted, resolveScopes } from './scope.ts'

export interface Rights extends Granted {
  /** Names of the user's roles that grant one of the scopes; none where no user is involved. */
  readonly roles: readonly string[]
}

/** Who asks, as the registry and the store have them now. */
export interface Parties {
  readonly client: Client
  /** null where no user is involved (RFC 6749 §4.4). */
  readonly user: User | null
}

/** What was granted earlier: a code or a client session. It bounds everything that comes later. */
export interface EarlierGrant {
  readonly scopes: readonly string[]
  readonly audience: string
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
}

export interface GrantRights extends Parties {
  /** undefined: the client named no scope, and gets all that it may have. */
  readonly requested: readonly string[] | undefined
  /** The API that the request names (RFC 8707). */
  readonly resource: string | undefined
  readonly amr: readonly string[]
}

export interface SessionRights {
  /** For a new grant. @throws {OAuthError} invalid_grant, invalid_scope, invalid_target, unauthorized_client */
  grant(request: GrantRights): Rights
  /**
   * Returns what is left now of an earlier grant, or of the part of it that `requested` names.
   * @throws {OAuthError} if nothing is left, or the client or the user may have nothing any more
   */
  remaining(earlier: EarlierGrant, parties: Parties, requested?: readonly string[]): Rights
}

export interface SessionRightsDeps {
  readonly registry: Registry
  readonly config: { readonly defaultAudience: string }
}

export function createSessionRights({ registry, config }: SessionRightsDeps): SessionRights {
  function resolve({ client, user, requested, resource, amr }: GrantRights): Rights {
    if (client.disabled) throw unauthorizedClient('the client is disabled', { detail: 'client_disabled' })
    if (user) checkUser(client, user, amr)
    const granted = resolveScopes(
      { requested, resource, client, roles: user?.roles ?? null },
      registry,
      config.defaultAudience,
    )
    return { ...granted, roles: user ? rolesGranting(user.roles, granted.scopes) : [] }
  }

  /** The second factor is required by what holds now, not by what held when the user signed in. */
  function checkUser(client: Client, user: User, amr: readonly string[]): void {
    if (user.disabled) throw invalidGrant('the account is disabled', { detail: 'user_disabled' })
    const required = client.requireSecondFactor || registry.requiresSecondFactor(user.roles)
    if (required && !satisfies(amr, ACR_MFA)) {
      throw invalidGrant('a second factor is required: the user must sign in again', {
        detail: 'second_factor_required',
      })
    }
  }

  /** A role says something about the user at one API, so another API does not learn it (RFC 9068 §2.2.3.1). */
  function rolesGranting(roles: readonly string[], scopes: readonly string[]): string[] {
    return roles.filter((role) => {
      const grants = registry.scopesOf([role])
      return scopes.some((scope) => grants.has(scope))
    })
  }

  return {
    grant: resolve,
    remaining({ scopes, audience, amr }, parties, requested = scopes) {
      const within = requested.filter((scope) => scopes.includes(scope))
      return resolve({ ...parties, requested: within, resource: audience, amr })
    },
  }
}
