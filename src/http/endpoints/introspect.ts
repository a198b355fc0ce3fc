import type { OAuth } from '../../oauth/index.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

/** RFC 7662 §2. */
export function introspectEndpoint({ introspection }: Pick<OAuth, 'introspection'>): ProtocolHandler {
  return async (request) => json(await introspection(request))
}
