import type { OAuth } from '../../oauth/index.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

/**
 * RFC 7009 §2.2: 200, even if the token was invalid. Clients ignore the body, but some libraries parse it, or refuse a
 * response that is not JSON, so it is an empty JSON object.
 */
export function revokeEndpoint({ revocation }: Pick<OAuth, 'revocation'>): ProtocolHandler {
  return async (request) => {
    await revocation(request)
    return json({})
  }
}
