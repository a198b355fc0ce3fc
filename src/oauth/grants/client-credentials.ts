import { accessTokenTtl } from '../lifetimes.ts'
import { parseResource } from '../resource.ts'
import { parseScope, resolveScopes } from '../scope.ts'
import type { Grant, GrantDeps } from './grant.ts'

type Deps = Pick<GrantDeps, 'registry' | 'config'>

/** RFC 6749 §4.4: the client acts for itself. No refresh token (§4.4.3): the client can request again at any time. */
export function clientCredentials({ registry, config }: Deps): Grant {
  return {
    confidentialOnly: true,
    async authorize({ client, parameters }) {
      const granted = resolveScopes(
        {
          requested: parseScope(parameters.get('scope')),
          resource: parseResource(parameters.all('resource')),
          client,
          roles: null,
        },
        registry,
        config.defaultAudience,
      )
      return {
        client,
        user: null,
        audience: granted.audience,
        scopes: granted.scopes,
        accessTokenTtl: accessTokenTtl(client, granted.apiTtl, config.accessTokenTtl),
        commit: async () => null,
      }
    },
  }
}
