import type { OAuth } from '../../oauth/index.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

/** OIDC Core §5.3. */
export function userInfoEndpoint({ userInfo }: Pick<OAuth, 'userInfo'>): ProtocolHandler {
  return async (request) => {
    const claims = await userInfo(request)
    return claims ? json(claims) : { kind: 'token-missing' }
  }
}
