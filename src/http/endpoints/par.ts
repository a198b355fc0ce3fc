import type { ProtocolHandler } from '../protocol.ts'
import type { Services } from '../services.ts'

/** RFC 9126. */
export const parEndpoint =
  ({ pushRequest }: Services): ProtocolHandler =>
  (request) =>
    pushRequest(request)
