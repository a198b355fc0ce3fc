/**
 * `/account/second-factor`, where users who must set up a second factor choose its kind. Also the forms of the account page that
 * remove a factor or create new recovery codes.
 */
import type { FastifyReply } from 'fastify'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { Registry } from '../../oauth/registry.ts'
import type { AccountNotice } from '../../views/pages/account.ts'
import { enrolRequiredPage } from '../../views/pages/enrol-required.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { ACCOUNT_PATH, redirectToAccount } from './account.ts'
import { type Enrolment, type EnrolmentContext, formContext, hasFactor } from './enrolment.ts'

export interface AccountFactorPageDeps {
  readonly enrolment: Enrolment
  readonly secondFactors: Pick<SecondFactors, 'removeTotp' | 'listPasskeys' | 'removePasskey'>
  readonly registry: Pick<Registry, 'requiresSecondFactor'>
}

export function accountFactorRoutes(deps: AccountFactorPageDeps): PageRoute[] {
  const { enrolment, secondFactors, registry } = deps
  return [
    {
      method: 'GET',
      path: '/account/second-factor',
      async handler(request) {
        const context = await enrolment.start(request, ACCOUNT_PATH)
        if ('respond' in context) return context.respond()
        const { current, waiting } = context
        if (!waiting) return redirectToAccount(request)
        const { flow, formTarget } = formContext(request, context)
        // The page names the client that requires a second factor, unless one of the user's roles requires it anyway.
        const requiredByRole = registry.requiresSecondFactor(current.user.roles)
        const model = {
          username: current.user.username,
          requiredBy: requiredByRole ? null : waiting.summary.client.name,
          clientName: waiting.summary.client.name,
          flow,
        }
        const page = request.loginPageContext(waiting.summary.request.uiLocales)
        return request.html(enrolRequiredPage(model, page), { formTarget })
      },
    },
    {
      method: 'POST',
      path: '/account/recovery-codes',
      async handler(request) {
        const context = await enrolment.start(request, ACCOUNT_PATH)
        if ('respond' in context) return context.respond()
        // Recovery codes are a substitute for a lost factor. Without a factor they would become the only one.
        if (!hasFactor(context.summary)) return redirectToAccount(request)
        return enrolment.showRecoveryCodes(request, context)
      },
    },
    {
      method: 'POST',
      path: '/account/totp/remove',
      handler: (request) =>
        remove(request, async ({ current: { user }, summary }) => {
          if (!summary.totp) return 'already-removed'
          if (summary.passkeys === 0 && registry.requiresSecondFactor(user.roles)) {
            return 'second-factor-required'
          }
          const removed = await secondFactors.removeTotp(user, request.requestInfo)
          return removed ? 'totp-removed' : 'already-removed'
        }),
    },
    {
      method: 'POST',
      path: '/account/passkeys/remove',
      handler: (request) =>
        remove(request, async ({ current: { user }, summary }) => {
          const id = request.form.get('id') ?? ''
          const passkeys = await secondFactors.listPasskeys(user.id)
          if (!passkeys.some((passkey) => passkey.id === id)) return 'already-removed'
          if (!summary.totp && passkeys.length === 1 && registry.requiresSecondFactor(user.roles)) {
            return 'second-factor-required'
          }
          // Nothing else would be left to sign in with.
          if (passkeys.length === 1 && user.passwordHash === null) return 'last-passkey'
          const removed = await secondFactors.removePasskey(user, id, request.requestInfo)
          return removed ? 'passkey-removed' : 'already-removed'
        }),
    },
  ]

  async function remove(
    request: PageRequest,
    removal: (context: EnrolmentContext) => Promise<AccountNotice>,
  ): Promise<FastifyReply> {
    const context = await enrolment.start(request, ACCOUNT_PATH)
    if ('respond' in context) return context.respond()
    return redirectToAccount(request, await removal(context))
  }
}
