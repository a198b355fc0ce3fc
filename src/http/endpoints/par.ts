import type { OAuth } from '../../oauth/index.ts'
import type { ProtocolHandler } from '../protocol.ts'

/** RFC 9126. */
export const parEndpoint =
  ({ pushRequest }: Pick<OAuth, 'pushRequest'>): ProtocolHandler =>
  (request) =>
    pushRequest(request)
