import { invalidRequest } from '../errors.ts'
import type { ClientAuthMethod } from './method.ts'
import type { SecretVerifier } from './secret.ts'

/** RFC 6749 §2.3.1: `client_id` and `client_secret` in the request body. */
export function clientSecretPost(secrets: SecretVerifier): ClientAuthMethod {
  return {
    name: 'client_secret_post',
    present({ parameters, ip }) {
      const secret = parameters.get('client_secret')
      if (secret === undefined) return undefined
      const clientId = parameters.get('client_id')
      if (clientId === undefined) throw invalidRequest('client_secret without client_id')
      return { clientId, verify: (client) => secrets.verify(client.secretHash, secret, clientId, ip) }
    },
  }
}
