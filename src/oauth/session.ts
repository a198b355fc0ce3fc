/** A new session, whichever grant begins it. Pure; must not know the store. */
import type { Config } from '../config/load.ts'
import type { Session } from '../store/contracts/client-sessions.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { StatusIndex } from '../store/contracts/status.ts'
import type { EpochSeconds, Seconds } from '../system.ts'

export type SessionTimes = Pick<Config, 'refreshTokenTtl' | 'refreshIdleTtl'>

/** The session of a client without the refresh token grant lasts as long as its one access token. */
export function isRefreshable(client: Client): boolean {
  return client.grants.includes('refresh_token')
}

export function sessionEnd(
  client: Client,
  now: EpochSeconds,
  accessTokenTtl: Seconds,
  { refreshTokenTtl }: SessionTimes,
): EpochSeconds {
  return now + (isRefreshable(client) ? refreshTokenTtl : accessTokenTtl)
}

export interface NewSession
  extends Pick<Session, 'id' | 'userId' | 'scopes' | 'audience' | 'authTime' | 'amr' | 'expiresAt'> {
  readonly client: Client
  readonly now: EpochSeconds
  readonly status: StatusIndex
  /** Absent for a grant without a user session. */
  readonly signInId?: string
  readonly userinfoClaims?: readonly string[]
}

export function newSession(given: NewSession, { refreshIdleTtl }: SessionTimes): Session {
  const { client, now, signInId = null, userinfoClaims = [], ...rest } = given
  const idle = isRefreshable(client) ? now + refreshIdleTtl : given.expiresAt
  return {
    ...rest,
    clientId: client.id,
    generation: 1,
    rotatedAt: now,
    createdAt: now,
    idleExpiresAt: Math.min(given.expiresAt, idle),
    revokedAt: null,
    revokedReason: null,
    signInId,
    userinfoClaims,
    // OIDC Core §11: an offline session continues after the user has signed out.
    offline: given.scopes.includes('offline_access'),
    backchannelLogout: client.backchannelLogoutUri !== null,
  }
}
