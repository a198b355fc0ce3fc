import type { OAuth } from '../../oauth/index.ts'
import type { ProtocolHandler } from '../protocol.ts'

/** RFC 7009 §2.2: 200 with an empty body, even if the token was invalid. */
export function revokeEndpoint({ revocation }: Pick<OAuth, 'revocation'>): ProtocolHandler {
  return async (request) => {
    await revocation(request)
    return { kind: 'empty' }
  }
}
