import type { ProtocolHandler } from '../protocol.ts'
import type { Services } from '../services.ts'

/** RFC 7009 §2.2: 200 with an empty body, whether or not there was anything to revoke. */
export function revokeEndpoint({ revocation }: Services): ProtocolHandler {
  return async (request) => {
    await revocation(request)
    return undefined
  }
}
