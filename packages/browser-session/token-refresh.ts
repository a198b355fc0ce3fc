/** Refreshes the access token of a session, once for all requests that need it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BrowserSessionError, isTemporary } from './errors.ts'
import type { OpenIdClient } from './openid-client.ts'
import { createRefreshPauses } from './refresh-pauses.ts'
import { type Lifetimes, refreshedSession, type Session, type SessionRepository } from './session.ts'
import { singleFlight } from './single-flight.ts'

interface Parts {
  readonly sessions: SessionRepository
  readonly issuer: Pick<OpenIdClient, 'refresh' | 'revoke'>
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

export interface TokenRefresh {
  /**
   * Returns the session with an access token that does not need a refresh.
   * @throws {BrowserSessionError} SESSION_ENDED, REFRESH_FAILED, ISSUER_UNAVAILABLE
   */
  refresh(session: Session): Promise<Session>
  /** Waits for a refresh in progress, and returns the newest generation; undefined if the session has ended. */
  latestAfterRefresh(session: Session): Promise<Session | undefined>
}

/** How long another process may take to store the tokens that it received. */
const STORE_TIMEOUT_MS = 200

export function createTokenRefresh({ sessions, issuer, clock, lifetimes }: Parts): TokenRefresh {
  // Keyed by the refresh token: two requests of a session with the same refresh token share one refresh.
  const refreshes = singleFlight<string, Session>()
  const pauses = createRefreshPauses(clock)

  function refresh(session: Session): Promise<Session> {
    const { refreshToken } = session
    if (refreshToken === undefined) return end(session)
    return refreshes.run(refreshToken, () => refreshWith(refreshToken, session))
  }

  async function end(session: Session): Promise<never> {
    await sessions.end(session)
    throw new BrowserSessionError('SESSION_ENDED')
  }

  async function refreshWith(refreshToken: string, session: Session): Promise<Session> {
    // The session is read again here: an earlier refresh may have ended after this request read its cookie.
    const latest = await sessions.latest(session)
    if (latest === undefined) throw new BrowserSessionError('SESSION_ENDED')
    if (clock() < latest.refreshAt) return latest
    if (latest.refreshToken !== refreshToken) return refresh(latest)
    pauses.assertNotPaused(latest)
    const tokens = await issuer.refresh(refreshToken, session.claims.sub).catch((error) => {
      if (isTemporary(error)) pauses.failed(latest, error)
      throw error
    })
    pauses.answered()
    if (tokens === 'ended') return (await successorOf(latest)) ?? end(latest)
    const next = refreshedSession(latest, tokens, clock(), lifetimes)
    const stored = await sessions.replace(latest, next)
    if (stored !== undefined) return stored
    // The user logged out while the issuer answered, so the new refresh token must not stay valid.
    if (next.refreshToken !== undefined) await issuer.revoke(next.refreshToken).catch(() => {})
    throw new BrowserSessionError('SESSION_ENDED')
  }

  /** Another process may have used the refresh token first, and may not yet have stored the successor. */
  async function successorOf(session: Session): Promise<Session | undefined> {
    for (const wait of [0, STORE_TIMEOUT_MS]) {
      await sleep(wait)
      const latest = await sessions.latest(session)
      if (latest !== undefined && latest.generation !== session.generation) return latest
    }
    return undefined
  }

  return {
    refresh,
    async latestAfterRefresh(session) {
      const current = session.refreshToken && refreshes.current(session.refreshToken)
      if (current) await current.catch(() => {})
      return sessions.latest(session)
    },
  }
}
