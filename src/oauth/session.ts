/** Creates the client session of any grant. Pure; must not know the store. */
import type { Config } from '../config/load.ts'
import type { ClientSession } from '../store/contracts/client-sessions.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { StatusIndex } from '../store/contracts/status.ts'
import type { EpochSeconds, Seconds } from '../system.ts'

export type ClientSessionTimes = Pick<Config, 'refreshTokenTtl' | 'refreshIdleTtl'>

/** Whether the client gets refresh tokens. Without them, the client session ends when its only access token expires. */
export function isRefreshable(client: Client): boolean {
  return client.grants.includes('refresh_token')
}

export function clientSessionEnd(
  client: Client,
  now: EpochSeconds,
  accessTokenTtl: Seconds,
  { refreshTokenTtl }: ClientSessionTimes,
): EpochSeconds {
  return now + (isRefreshable(client) ? refreshTokenTtl : accessTokenTtl)
}

export interface NewClientSession
  extends Pick<
    ClientSession,
    'id' | 'userId' | 'scopes' | 'audience' | 'authTime' | 'amr' | 'expiresAt' | 'confirmation'
  > {
  readonly client: Client
  readonly now: EpochSeconds
  readonly status: StatusIndex
  /** Absent if the grant has no user session. */
  readonly userSessionId?: string | null
  readonly userinfoClaims?: readonly string[]
}

export function newClientSession(
  options: NewClientSession,
  { refreshIdleTtl }: ClientSessionTimes,
): ClientSession {
  const { client, now, userSessionId = null, userinfoClaims = [], confirmation, ...rest } = options
  const idleExpiresAt = isRefreshable(client) ? now + refreshIdleTtl : options.expiresAt
  return {
    ...rest,
    clientId: client.id,
    generation: 1,
    rotatedAt: now,
    createdAt: now,
    idleExpiresAt: Math.min(options.expiresAt, idleExpiresAt),
    revokedAt: null,
    revokedReason: null,
    userSessionId,
    userinfoClaims,
    // OIDC Core §11: an offline session continues after the user has signed out.
    offline: options.scopes.includes('offline_access'),
    backchannelLogout: client.backchannelLogoutUri !== null,
    // RFC 9449 §5, RFC 8705 §4: a confidential client proves at every refresh who it is, and may change its key.
    confirmation: client.authMethod === 'none' ? confirmation : null,
    boundFrom: 1,
  }
}
