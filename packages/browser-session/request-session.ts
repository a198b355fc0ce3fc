/** What a route's handler sees of a session. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isFailure } from './errors.ts'
import type { Claims, Session, SessionKeeper } from './session.ts'
import type { Renewal } from './token-refresh.ts'

export interface BrowserSession {
  /** Of the ID token: who it is. */
  readonly claims: Claims
  /** What the access token is for, if the issuer said. */
  readonly scope: string | undefined
  /**
   * For a call to an API; renewed if about to expire. Never send it to the browser.
   * @throws {BrowserSessionError} SESSION_ENDED (401), ISSUER_UNAVAILABLE (503)
   */
  accessToken(): Promise<string>
}

interface Parts {
  readonly keeper: SessionKeeper
  readonly renewal: Renewal
  readonly clock: () => number
}

export function browserSession(
  { keeper, renewal, clock }: Parts,
  loaded: Session,
  request: FastifyRequest,
  reply: FastifyReply,
): BrowserSession {
  let session = loaded

  async function renewed(): Promise<string> {
    if (keeper.handsCookies && reply.raw.headersSent) {
      throw new Error('ask for the access token before the answer begins: a renewed session needs a cookie')
    }
    try {
      const next = await renewal.renew(session)
      if (next !== session && next.generation !== session.generation) keeper.hand(next, request, reply)
      session = next
    } catch (error) {
      if (isFailure(error, 'SESSION_ENDED')) {
        request.browserSession = null
        keeper.clear(request, reply)
      }
      const usable = isFailure(error, 'ISSUER_UNAVAILABLE') && clock() < session.expiresAt
      if (!usable) throw error
    }
    return session.accessToken
  }

  // One question for all who ask in this request: it writes the cookies once.
  let asking: Promise<string> | undefined
  return {
    get claims() {
      return session.claims
    },
    get scope() {
      return session.scope
    },
    async accessToken() {
      if (clock() < session.renewAt) return session.accessToken
      asking ??= renewed().finally(() => {
        asking = undefined
      })
      return asking
    },
  }
}
