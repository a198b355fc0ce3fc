/**
 * The credentials of the methods whose requests all look alike: the client sends its id, and what else it proves is in the connection, or
 * nowhere. The registration says which of these methods it is (RFC 8705 §2).
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { ClientAuthMethod } from './method.ts'

const PROOFS = ['client_secret', 'client_assertion', 'client_assertion_type']

export const clientIdAlone =
  (
    verify: (client: Client, request: ProtocolRequest) => Promise<boolean>,
  ): ClientAuthMethod['findCredentials'] =>
  (request) => {
    const { parameters, authorization } = request
    const clientId = parameters.get('client_id')
    const hasProof = PROOFS.some((name) => parameters.get(name) !== undefined)
    if (clientId === undefined || authorization !== undefined || hasProof) return null
    return { clientId, alone: true, verify: (client) => verify(client, request) }
  }
