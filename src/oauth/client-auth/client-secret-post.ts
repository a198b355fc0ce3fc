import { invalidRequest } from '../errors.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps } from './method.ts'

/** RFC 6749 §2.3.1: `client_id` and `client_secret` in the request body. */
export function clientSecretPost({ secrets }: Pick<ClientAuthMethodDeps, 'secrets'>): ClientAuthMethod {
  return {
    findCredentials({ parameters, ip }) {
      const secret = parameters.get('client_secret')
      if (secret === undefined) return null
      const clientId = parameters.get('client_id')
      if (clientId === undefined) throw invalidRequest('client_secret without client_id')
      return {
        clientId,
        verify: (client) => secrets.verify(client.secrets, secret, clientId, ip),
        imitateVerify: () => secrets.verify([], secret, clientId, ip),
      }
    },
  }
}
