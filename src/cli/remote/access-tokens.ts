/** Access tokens for the requests of a command, from what `login` has kept. Must not know the requests. */
import { systemClock } from '../../system.ts'
import type { Io } from '../io.ts'
import { withLock } from './file-lock.ts'
import type { SessionFile, StoredSession } from './session-file.ts'

type TokenIo = Pick<Io, 'fetch' | 'clock' | 'pid' | 'isRunning'>

/** A token that ends sooner than this could end on its way. */
const MIN_REST = 30

/**
 * Returns a function that returns an access token, a new one if necessary.
 *
 * Of several commands at once, one refreshes and the others use its tokens: a refresh token that is used again after the server's
 * grace period ends the session (RFC 9700 §4.14.2).
 */
export function accessTokens(file: SessionFile, io: TokenIo): (rejected?: string) => Promise<string> {
  const { clock = systemClock } = io
  const isGood = ({ access_token: token, expires_at: end }: StoredSession, rejected?: string) =>
    token !== rejected && end - MIN_REST > clock.now()

  return async (rejected) => {
    const session = file.read()
    if (isGood(session, rejected)) return session.access_token
    return withLock(file.lock, io, async () => {
      const current = file.read()
      if (isGood(current, rejected)) return current.access_token
      // Most commands need no new token, and so do not load the OAuth client.
      const { renew } = await import('./token-requests.ts')
      const renewed = await renew(current, file, io)
      await file.write(renewed)
      return renewed.access_token
    })
  }
}
