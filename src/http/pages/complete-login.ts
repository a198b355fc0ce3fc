/** The last step of every login: creates the user session and returns to the page that required the login. */
import type { FastifyReply } from 'fastify'
import type { UserSessions } from '../../accounts/user-sessions.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { User } from '../../store/contracts/users.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'

/** @throws {PageError} if the account was disabled or its password changed during the login */
export async function completeLogin(
  userSessions: Pick<UserSessions, 'start'>,
  request: PageRequest,
  flow: Flow,
  user: User,
  amr: readonly string[],
): Promise<FastifyReply> {
  const created = await userSessions.start(user, amr, request.current, request.requestInfo)
  if (!created) throw new PageError('access-denied')
  request.setSession(created.secret)
  const { pending, ...rest } = flow
  const reauthenticated = { userSessionId: created.userSession.id, authTime: created.userSession.authTime }
  if (flow.request || flow.pushed) {
    return request.redirect('/oauth2/authorize', { flow: request.encryptFlow({ ...rest, reauthenticated }) })
  }
  return request.redirect(flow.returnTo ?? '/account')
}
