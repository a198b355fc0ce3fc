import type { ProtocolHandler } from '../protocol.ts'
import type { Services } from '../services.ts'

/** OIDC Core §5.3. */
export function userInfoEndpoint({ userInfo }: Services): ProtocolHandler {
  return userInfo
}
