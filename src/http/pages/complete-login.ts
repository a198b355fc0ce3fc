/** The end of every way to log in: begins the user session and returns to where the login was asked for. */
import type { FastifyReply } from 'fastify'
import type { UserSessions } from '../../accounts/user-sessions.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { User } from '../../store/contracts/users.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'

/** @throws {PageError} if the account has changed since the proof */
export async function completeLogin(
  userSessions: Pick<UserSessions, 'start'>,
  request: PageRequest,
  flow: Flow,
  user: User,
  amr: readonly string[],
): Promise<FastifyReply> {
  const begun = await userSessions.start(user, amr, request.current, request.requestInfo)
  if (!begun) throw new PageError('access-denied')
  request.setSession(begun.secret)
  const { pending, ...rest } = flow
  const reauthenticated = { userSessionId: begun.userSession.id, authTime: begun.userSession.authTime }
  if (flow.request || flow.pushed) {
    return request.redirect('/oauth2/authorize', { flow: request.encryptFlow({ ...rest, reauthenticated }) })
  }
  return request.redirect(flow.returnTo ?? '/account')
}
