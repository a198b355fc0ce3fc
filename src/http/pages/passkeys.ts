/** `/account/passkeys`: adds one. */
import type { FastifyReply } from 'fastify'
import { type AddPasskeyModel, addPasskeyPage, LONGEST_PASSKEY_NAME } from '../../views/pages/add-passkey.ts'
import type { PageRoute, Visit } from '../browser.ts'
import type { Services } from '../services.ts'
import { toAccount } from './account.ts'
import { afterEnrolment, carriedOn, type FactorSetting, factorSetting } from './enrolment.ts'

const PATH = '/account/passkeys'

export function passkeyRoutes(services: Services): PageRoute[] {
  const { secondFactors } = services.people
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(visit) {
        const setting = await factorSetting(services, visit, PATH)
        if ('leave' in setting) return setting.leave()
        return render(visit, setting, '', null)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(visit: Visit): Promise<FastifyReply> {
    const setting = await factorSetting(services, visit, PATH)
    if ('leave' in setting) return setting.leave()
    const { form, visitor } = visit
    const name = (form.get('name') ?? '').trim()
    if (name === '' || [...name].length > LONGEST_PASSKEY_NAME) {
      return render(visit, setting, name, { kind: 'name' }, 400)
    }
    const passkey = await secondFactors.finishPasskeyRegistration(
      setting.current.user,
      name,
      form.get('credential') ?? '',
      form.get('challenge') ?? '',
      visitor,
    )
    if (!passkey) return render(visit, setting, name, { kind: 'refused' }, 400)
    // Whether it has looked who holds it is only known once it signs.
    const proof = { kind: 'passkey', userVerified: false, backedUp: passkey.backedUp } as const
    return afterEnrolment(services, visit, setting, proof, 'passkey-added')
  }

  async function render(
    visit: Visit,
    setting: FactorSetting,
    name: string,
    message: AddPasskeyModel['message'],
    status = 200,
  ): Promise<FastifyReply> {
    const registration = secondFactors.passkeysAvailable
      ? await secondFactors.beginPasskeyRegistration(setting.current.user)
      : null
    if (!registration) return toAccount(visit, 'no-more-passkeys')
    const passkey = { options: registration.options, sealed: registration.challenge }
    const { flow, leadsTo, page } = carriedOn(visit, setting)
    const text = addPasskeyPage({ passkey, name, flow, message }, page)
    return visit.html(text, { status, leadsTo, scripts: true })
  }
}
