import { accessTokenTtl } from '../lifetimes.ts'
import { parseResource } from '../resource.ts'
import { parseScope } from '../scope.ts'
import type { Grant, GrantDeps } from './grant.ts'

type Deps = Pick<GrantDeps, 'rights' | 'config'>

/** RFC 6749 §4.4: the client acts on its own behalf. It gets no refresh token (§4.4.3), because it can repeat the request. */
export function clientCredentials({ rights, config }: Deps): Grant {
  return {
    confidentialOnly: true,
    async authorize({ client, parameters, confirmation }) {
      const granted = rights.grant({
        client,
        user: null,
        requested: parseScope(parameters.get('scope')),
        resource: parseResource(parameters.all('resource')),
        amr: [],
      })
      return {
        client,
        user: null,
        audience: granted.audience,
        scopes: granted.scopes,
        accessTokenTtl: accessTokenTtl(client, granted.apiTtl, config.accessTokenTtl),
        confirmation,
        commit: async () => null,
      }
    },
  }
}
