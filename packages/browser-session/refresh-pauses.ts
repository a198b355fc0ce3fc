/** Pauses refreshes after a failure, so that an issuer with problems is not overloaded. */
import { boundedMap } from './bounded-map.ts'
import { BrowserSessionError, hasCode } from './errors.ts'
import { type Session, userOf } from './session.ts'

/** After a failure, refreshes pause for this long. */
const PAUSE_SECONDS = 5
/**
 * The issuer counts as down after failures for this many users in a row. If refreshes fail for one user only, the cause
 * may be that user.
 */
const MIN_FAILED_USERS = 3

export interface RefreshPauses {
  /** @throws {BrowserSessionError} while the session must not be refreshed */
  assertNotPaused(session: Session): void
  failed(session: Session, error: BrowserSessionError): void
  /** The issuer gave a response that shows that it works. */
  answered(): void
}

/** The failure of one session pauses that session; failures of several users in a row pause all sessions. */
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
      if (failedUsers.size < MIN_FAILED_USERS) failedUsers.add(userOf(session))
      if (failedUsers.size === MIN_FAILED_USERS) allPausedUntil = until
    },
    answered,
  }
}
