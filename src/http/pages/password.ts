/** `/account/password`: users change their own password. */
import type { FastifyReply } from 'fastify'
import type { ChangePassword } from '../../accounts/change-password.ts'
import { Overloaded } from '../../accounts/concurrency-limiter.ts'
import type { PasswordRules } from '../../accounts/password-rules.ts'
import { RateLimited } from '../../accounts/rate-limiter.ts'
import type { CurrentUserSession } from '../../accounts/user-sessions.ts'
import { type ChangePasswordMessage, changePasswordPage } from '../../views/pages/change-password.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { redirectToAccount, redirectToLogin } from './account.ts'

const PATH = '/account/password'

export interface PasswordPageDeps {
  readonly changePassword: ChangePassword
  readonly passwordRules: Pick<PasswordRules, 'minLength'>
}

export function passwordRoutes({ changePassword, passwordRules }: PasswordPageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(request) {
        if (!request.current) return redirectToLogin(request, PATH)
        // A user who signs in only with passkeys has no current password to enter.
        if (request.current.user.passwordHash === null) return redirectToAccount(request)
        return render(request, request.current, null)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(request: PageRequest): Promise<FastifyReply> {
    const { current, form, requestInfo } = request
    if (!current) return redirectToLogin(request, PATH)
    const next = form.get('new_password') ?? ''
    if (next !== (form.get('new_password_repeat') ?? '')) {
      return render(request, current, { kind: 'mismatch' }, 400)
    }
    try {
      const change = { current: form.get('current_password') ?? '', next }
      const changed = await changePassword(current, change, requestInfo)
      if ('refused' in changed) return render(request, current, { kind: changed.refused }, 400)
      request.setSession(changed.secret)
      return redirectToAccount(request, 'password-changed')
    } catch (error) {
      if (!(error instanceof RateLimited || error instanceof Overloaded)) throw error
      request.reply.header('retry-after', String(error.retryAfter))
      if (error instanceof Overloaded) return render(request, current, { kind: 'busy' }, 503)
      return render(request, current, { kind: 'rate_limited', seconds: error.retryAfter }, 429)
    }
  }

  function render(
    request: PageRequest,
    { user }: CurrentUserSession,
    message: ChangePasswordMessage | null,
    status = 200,
  ): FastifyReply {
    const model = { username: user.username, minLength: passwordRules.minLength, message }
    return request.html(changePasswordPage(model, request.pageContext()), { status })
  }
}
