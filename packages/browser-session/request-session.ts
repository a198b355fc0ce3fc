/** The session as a route handler sees it: `request.browserSession`. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hasCode, isTemporary } from './errors.ts'
import type { Session, SessionRepository } from './session.ts'
import { singleFlight } from './single-flight.ts'
import type { TokenRefresh } from './token-refresh.ts'
import type { IdTokenClaims } from './tokens.ts'

export interface BrowserSession {
  /** The claims of the ID token: who the user is. */
  readonly claims: IdTokenClaims
  /** The scopes of the access token, separated by spaces, if the issuer returned them. */
  readonly scope: string | undefined
  /**
   * Returns an access token for a call to an API, and refreshes it first if it is about to expire. Call it before the
   * response begins, because it may set cookies. Never send the token to the browser.
   * @throws {BrowserSessionError} SESSION_ENDED (401), REFRESH_FAILED (502), ISSUER_UNAVAILABLE (503)
   */
  accessToken(): Promise<string>
}

interface Parts {
  readonly sessions: SessionRepository
  readonly tokenRefresh: TokenRefresh
  readonly clock: () => number
}

export function requestSession(
  { sessions, tokenRefresh, clock }: Parts,
  loaded: Session,
  request: FastifyRequest,
  reply: FastifyReply,
): BrowserSession {
  let session = loaded

  async function refreshedToken(): Promise<string> {
    if (sessions.writesCookiesOnRefresh && reply.raw.headersSent) {
      throw new Error('accessToken() must be called before the response begins: a refresh sets a cookie')
    }
    try {
      const next = await tokenRefresh.refresh(session)
      if (next !== session && next.generation !== session.generation) {
        sessions.writeCookies(next, request, reply)
      }
      session = next
    } catch (error) {
      if (hasCode(error, 'SESSION_ENDED')) {
        request.browserSession = null
        sessions.clearCookies(request, reply)
      }
      const stillUsable = isTemporary(error) && clock() < session.expiresAt
      if (!stillUsable) throw error
    }
    return session.accessToken
  }

  // Concurrent calls in one request share a refresh, so that the cookies are written once.
  const refreshes = singleFlight<'refresh', string>()
  return {
    get claims() {
      return session.claims
    },
    get scope() {
      return session.scope
    },
    async accessToken() {
      if (clock() < session.refreshAt) return session.accessToken
      return refreshes.run('refresh', refreshedToken)
    },
  }
}
