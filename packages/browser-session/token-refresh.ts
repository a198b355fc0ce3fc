/** Access tokens that never run out while the session lasts. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BrowserSessionError, isFailure } from './errors.ts'
import type { Issuer } from './openid-client.ts'
import { advanceSession, type Lifetimes, type Session, type SessionKeeper } from './session.ts'

interface Parts {
  readonly keeper: SessionKeeper
  readonly issuer: Pick<Issuer, 'refresh' | 'revoke'>
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

export interface Renewal {
  /** The session with an access token that is good for a while. @throws {BrowserSessionError} */
  renew(session: Session): Promise<Session>
  /** The newest of a session, after whatever is under way. */
  settled(session: Session): Promise<Session | undefined>
}

/** How long another process may take to keep what it got. */
const PATIENCE_MS = 200
/** After a failure, nobody asks again for so long: an issuer in trouble gets no queue at its door. */
const PAUSE_SECONDS = 5

export function renewal({ keeper, issuer, clock, lifetimes }: Parts): Renewal {
  // By refresh token: two requests of one session that hold the same one share one exchange.
  const flights = new Map<string, Promise<Session>>()
  let pausedUntil = 0

  function renew(session: Session): Promise<Session> {
    const used = session.refreshToken
    if (used === undefined) return gone(session)
    const flying = flights.get(used)
    if (flying !== undefined) return flying
    const flight = fly(session, used).finally(() => flights.delete(used))
    flights.set(used, flight)
    return flight
  }

  async function gone(session: Session): Promise<never> {
    await keeper.end(session)
    throw new BrowserSessionError('SESSION_ENDED')
  }

  async function fly(session: Session, used: string): Promise<Session> {
    // Read again inside the flight: the one before it may have landed since this request read its cookie.
    const latest = await keeper.latest(session)
    if (latest === undefined) throw new BrowserSessionError('SESSION_ENDED')
    if (clock() < latest.renewAt) return latest
    if (latest.refreshToken !== used) return renew(latest)
    if (clock() < pausedUntil) throw new BrowserSessionError('ISSUER_UNAVAILABLE')
    const tokens = await issuer.refresh(used, session.claims.sub).catch((error) => {
      if (isFailure(error, 'ISSUER_UNAVAILABLE')) pausedUntil = clock() + PAUSE_SECONDS
      throw error
    })
    if (tokens === 'ended') return (await fromElsewhere(latest)) ?? gone(latest)
    const next = advanceSession(latest, tokens, clock(), lifetimes)
    const kept = await keeper.advance(latest, next)
    if (kept !== undefined) return kept
    // Logged out while the issuer answered: what it gave must not live on.
    if (next.refreshToken !== undefined) await issuer.revoke(next.refreshToken).catch(() => {})
    throw new BrowserSessionError('SESSION_ENDED')
  }

  /** Another process may have used the token first, and be about to keep its successor. */
  async function fromElsewhere(session: Session): Promise<Session | undefined> {
    for (const wait of [0, PATIENCE_MS]) {
      await sleep(wait)
      const latest = await keeper.latest(session)
      if (latest !== undefined && latest.generation !== session.generation) return latest
    }
    return undefined
  }

  return {
    renew,
    async settled(session) {
      const flying = session.refreshToken && flights.get(session.refreshToken)
      if (flying) await flying.catch(() => {})
      return keeper.latest(session)
    },
  }
}
