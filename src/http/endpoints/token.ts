import type { OAuth } from '../../oauth/index.ts'
import type { ProtocolHandler } from '../protocol.ts'

/** RFC 6749 §3.2. */
export function tokenEndpoint({ tokenRequest }: Pick<OAuth, 'tokenRequest'>): ProtocolHandler {
  return tokenRequest
}
