import type { OAuth } from '../../oauth/index.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

/** RFC 6749 §3.2. */
export function tokenEndpoint({ tokenRequest }: Pick<OAuth, 'tokenRequest'>): ProtocolHandler {
  return async (request) => json(await tokenRequest(request))
}
