import type { FailureDetail } from '../../audit/failure-details.ts'
import type { User } from '../../store/contracts/users.ts'
import { invalidGrant, invalidRequest } from '../errors.ts'
import { accessTokenTtl } from '../lifetimes.ts'
import { parseResource } from '../resource.ts'
import { parseScope } from '../scope.ts'
import { clientSessionEnd, isRefreshable, newClientSession } from '../session.ts'
import { idTokenClaimsOf } from '../user-claims.ts'
import { commitUnchanged } from './commit-unchanged.ts'
import type { Grant, GrantDeps } from './grant.ts'

type Deps = Pick<
  GrantDeps,
  | 'rights'
  | 'registry'
  | 'login'
  | 'clientSessions'
  | 'users'
  | 'factors'
  | 'clock'
  | 'random'
  | 'statusIndexAllocator'
  | 'config'
>

/**
 * RFC 6749 §4.3. OAuth 2.1 §10 removes this grant, because the client sees the password. It is for first-party and migrating
 * clients, which must be registered for it.
 */
export function password(deps: Deps): Grant {
  const { rights, login, clientSessions, factors, clock, random, config, statusIndexAllocator } = deps
  return {
    async authorize({ client, parameters, confirmation, ip, requestId }) {
      const username = parameters.get('username')
      const secret = parameters.get('password')
      if (username === undefined || secret === undefined)
        throw invalidRequest('username and password are required')
      const requested = parseScope(parameters.get('scope'))
      const resource = parseResource(parameters.all('resource'))

      const outcome = await login({ username, password: secret, ip, requestId, clientId: client.id })
      if (!outcome.ok) throw wrongCredentials(outcome.detail)
      const { user } = outcome
      if (await hasSecondFactor(user)) throw needsSecondFactor()
      const granted = rights.grant({ client, user, requested, resource, amr: AMR })

      const now = clock.now()
      const ttl = accessTokenTtl(client, granted.apiTtl, config.accessTokenTtl)
      const expiresAt = clientSessionEnd(client, now, ttl, config)
      const session = newClientSession(
        {
          id: random.id(),
          client,
          userId: user.id,
          scopes: granted.scopes,
          audience: granted.audience,
          now,
          authTime: now,
          amr: AMR,
          expiresAt,
          status: await statusIndexAllocator.forSession(expiresAt),
          confirmation,
        },
        config,
      )
      return {
        client,
        user: {
          userId: user.id,
          roles: granted.roles,
          authTime: now,
          amr: session.amr,
          clientSessionId: session.id,
          status: session.status,
          idToken: { nonce: null, claims: idTokenClaimsOf(user, client, granted.scopes) },
        },
        audience: granted.audience,
        scopes: granted.scopes,
        accessTokenTtl: ttl,
        notAfter: session.idleExpiresAt,
        confirmation,
        async commit() {
          const decision = {
            client,
            user,
            granted,
            scopes: session.scopes,
            audience: session.audience,
            amr: AMR,
            grantedAt: session.createdAt,
          }
          if (!(await commitUnchanged(deps, decision, (owners) => clientSessions.insert(session, owners)))) {
            throw wrongCredentials('changed_meanwhile')
          }
          return isRefreshable(client) ? { clientSessionId: session.id, generation: 1 } : null
        },
      }
    },
  }

  /** Whether the user has a second factor, which this grant must not bypass. */
  async function hasSecondFactor(user: User): Promise<boolean> {
    const { totp, passkeys } = await factors.summary(user.id)
    return totp || passkeys > 0
  }
}

/** How the user authenticates with this grant (RFC 8176). */
const AMR = ['pwd']

const needsSecondFactor = () =>
  invalidGrant('a second factor is required, which this grant does not support', {
    detail: 'second_factor_required',
  })

/** One message for an unknown user, a wrong password and a disabled account. */
const wrongCredentials = (detail: FailureDetail) => invalidGrant('wrong username or password', { detail })
