import type { ProtocolHandler } from '../protocol.ts'
import type { Services } from '../services.ts'

/** RFC 7662 §2. */
export function introspectEndpoint({ introspection }: Services): ProtocolHandler {
  return introspection
}
