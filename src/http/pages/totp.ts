/** `/account/totp`: sets up an authenticator app. */
import type { FastifyReply } from 'fastify'
import type { TotpSetup } from '../../accounts/second-factors.ts'
import { type EnrolTotpModel, enrolTotpPage } from '../../views/pages/enrol-totp.ts'
import type { PageRoute, Visit } from '../browser.ts'
import type { Services } from '../services.ts'
import { toAccount } from './account.ts'
import { afterEnrolment, carriedOn, type FactorSetting, factorSetting } from './enrolment.ts'

const PATH = '/account/totp'

export function totpRoutes(services: Services): PageRoute[] {
  const { secondFactors } = services.people
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(visit) {
        const setting = await factorSetting(services, visit, PATH)
        if ('leave' in setting) return setting.leave()
        if (setting.summary.totp) return toAccount(visit)
        return render(visit, setting, secondFactors.beginTotp(setting.current.user), null)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(visit: Visit): Promise<FastifyReply> {
    const setting = await factorSetting(services, visit, PATH)
    if ('leave' in setting) return setting.leave()
    const { user } = setting.current
    const enrolment = visit.form.get('enrolment') ?? ''
    const code = visit.form.get('code') ?? ''
    const confirmed = await secondFactors.confirmTotp(user, enrolment, code, visit.visitor)
    if (confirmed === 'confirmed') {
      return afterEnrolment(services, visit, setting, { kind: 'totp' }, 'totp-added')
    }
    // The same key again: it is in the app already.
    const same = confirmed === 'wrong' ? secondFactors.resumeTotp(user, enrolment) : null
    const setup = same ?? secondFactors.beginTotp(user)
    return render(visit, setting, setup, { kind: same ? 'code' : 'expired' }, 400)
  }

  function render(
    visit: Visit,
    setting: FactorSetting,
    { secret, uri, pending }: TotpSetup,
    message: EnrolTotpModel['message'],
    status = 200,
  ): FastifyReply {
    const { flow, leadsTo, page } = carriedOn(visit, setting)
    const text = enrolTotpPage({ secret, uri, enrolment: pending, flow, message }, page)
    return visit.html(text, { status, leadsTo })
  }
}
