/** `/account/password`: a person changes their own password. */
import type { FastifyReply } from 'fastify'
import { GateFull } from '../../accounts/concurrency-limiter.ts'
import { SHORTEST_PASSWORD } from '../../accounts/password.ts'
import { Throttled } from '../../accounts/rate-limiter.ts'
import type { CurrentSignIn } from '../../accounts/user-sessions.ts'
import { type ChangePasswordMessage, changePasswordPage } from '../../views/pages/change-password.ts'
import type { PageRoute, Visit } from '../browser.ts'
import type { Services } from '../services.ts'
import { toAccount, toLogin } from './account.ts'

const PATH = '/account/password'

export function passwordRoutes(services: Services): PageRoute[] {
  const { changePassword } = services.people
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(visit) {
        return visit.current ? render(visit, visit.current, null) : toLogin(services, visit, PATH)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(visit: Visit): Promise<FastifyReply> {
    const { current, form, visitor } = visit
    if (!current) return toLogin(services, visit, PATH)
    const next = form.get('new_password') ?? ''
    if (next !== (form.get('new_password_repeat') ?? '')) {
      return render(visit, current, { kind: 'mismatch' }, 400)
    }
    try {
      const change = { current: form.get('current_password') ?? '', next }
      const changed = await changePassword(current, change, visitor)
      if ('refused' in changed) return render(visit, current, { kind: changed.refused }, 400)
      visit.setSession(changed.secret)
      return toAccount(visit, 'password-changed')
    } catch (error) {
      if (!(error instanceof Throttled || error instanceof GateFull)) throw error
      visit.reply.header('retry-after', String(error.retryAfter))
      if (error instanceof GateFull) return render(visit, current, { kind: 'busy' }, 503)
      return render(visit, current, { kind: 'throttled', seconds: error.retryAfter }, 429)
    }
  }

  function render(
    visit: Visit,
    { user }: CurrentSignIn,
    message: ChangePasswordMessage | null,
    status = 200,
  ): FastifyReply {
    const model = { username: user.username, shortest: SHORTEST_PASSWORD, message }
    return visit.html(changePasswordPage(model, visit.page()), { status })
  }
}
