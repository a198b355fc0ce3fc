import type { ProtocolHandler } from '../protocol.ts'
import type { Services } from '../services.ts'

/** RFC 6749 §3.2. */
export function tokenEndpoint({ tokenRequest }: Services): ProtocolHandler {
  return tokenRequest
}
