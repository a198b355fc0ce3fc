/** `/account/totp`: sets up an authenticator app. */
import type { FastifyReply } from 'fastify'
import type { SecondFactors, TotpSetup } from '../../accounts/second-factors.ts'
import { type EnrolTotpModel, enrolTotpPage } from '../../views/pages/enrol-totp.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { redirectToAccount } from './account.ts'
import { type Enrolment, type EnrolmentContext, formContext } from './enrolment.ts'

const PATH = '/account/totp'

export interface TotpPageDeps {
  readonly enrolment: Enrolment
  readonly secondFactors: Pick<SecondFactors, 'startTotpSetup' | 'resumeTotpSetup' | 'confirmTotpSetup'>
}

export function totpRoutes({ enrolment, secondFactors }: TotpPageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(request) {
        const context = await enrolment.start(request, PATH)
        if ('respond' in context) return context.respond()
        if (context.summary.totp) return redirectToAccount(request)
        return render(request, context, secondFactors.startTotpSetup(context.current.user), null)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(request: PageRequest): Promise<FastifyReply> {
    const context = await enrolment.start(request, PATH)
    if ('respond' in context) return context.respond()
    const { user } = context.current
    const pending = request.form.get('enrolment') ?? ''
    const code = request.form.get('code') ?? ''
    const result = await secondFactors.confirmTotpSetup(user, pending, code, request.requestInfo)
    if (result === 'confirmed') {
      return enrolment.finish(request, context, { kind: 'totp' }, 'totp-added')
    }
    // After a wrong code the key stays, because the app already has it.
    const existing = result === 'wrong' ? secondFactors.resumeTotpSetup(user, pending) : null
    const setup = existing ?? secondFactors.startTotpSetup(user)
    return render(request, context, setup, { kind: existing ? 'code' : 'expired' }, 400)
  }

  function render(
    request: PageRequest,
    context: EnrolmentContext,
    { secret, uri, pending }: TotpSetup,
    message: EnrolTotpModel['message'],
    status = 200,
  ): FastifyReply {
    const { flow, formTarget, page } = formContext(request, context)
    const text = enrolTotpPage({ secret, uri, enrolment: pending, flow, message }, page)
    return request.html(text, { status, formTarget })
  }
}
