import type { OAuth } from '../../oauth/index.ts'
import type { ProtocolHandler } from '../protocol.ts'

/** OIDC Core §5.3. */
export function userInfoEndpoint({ userInfo }: Pick<OAuth, 'userInfo'>): ProtocolHandler {
  return userInfo
}
