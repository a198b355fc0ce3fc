/** When the issuer is not asked for a refresh, so that an issuer in trouble is not overloaded. */
import { boundedMap } from './bounded-map.ts'
import { BrowserSessionError, hasCode } from './errors.ts'
import { type Session, userOf } from './session.ts'

/** After a failure, the issuer is not asked again for this long. */
const PAUSE_SECONDS = 5
/** The issuer counts as down when it failed this many users in a row. What fails for one user may be up to this user. */
const USERS_OF_AN_OUTAGE = 3

export interface RefreshPauses {
  /** @throws {BrowserSessionError} while the session must not be refreshed */
  assertNotPaused(session: Session): void
  failed(session: Session, error: BrowserSessionError): void
  /** The issuer gave a response that it gives only while it works. */
  answered(): void
}

/** The failure of one session pauses that session, and all sessions only if the issuer fails everyone. */
export function createRefreshPauses(clock: () => number): RefreshPauses {
  const paused = boundedMap<BrowserSessionError>({ maxSize: 10_000, maxPerOwner: 50 }, clock)
  const failedUsers = new Set<string>()
  let allPausedUntil = 0

  function answered(): void {
    failedUsers.clear()
    allPausedUntil = 0
  }

  return {
    assertNotPaused(session) {
      const error = paused.get(session.id)
      if (error !== undefined) throw new BrowserSessionError(error.code, error.cause)
      if (clock() < allPausedUntil) throw new BrowserSessionError('ISSUER_UNAVAILABLE')
    },
    failed(session, error) {
      const until = clock() + PAUSE_SECONDS
      paused.set(session.id, error, until, userOf(session))
      if (!hasCode(error, 'ISSUER_UNAVAILABLE')) return answered()
      if (failedUsers.size < USERS_OF_AN_OUTAGE) failedUsers.add(userOf(session))
      if (failedUsers.size === USERS_OF_AN_OUTAGE) allPausedUntil = until
    },
    answered,
  }
}
