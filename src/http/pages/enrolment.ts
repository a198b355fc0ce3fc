/**
 * What the pages for setting up second factors have in common: who may, and what follows. Also
 * `/account/second-factor`, where those end up who need one and have none.
 */
import type { FastifyReply } from 'fastify'
import { ACR_MFA, amrOf, type Proof, satisfies } from '../../accounts/amr.ts'
import type { CurrentSignIn } from '../../accounts/user-sessions.ts'
import type { RequestSummary } from '../../oauth/authorize/assess.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { FactorSummary } from '../../store/contracts/factors.ts'
import type { AccountNotice } from '../../views/pages/account.ts'
import { enrolRequiredPage } from '../../views/pages/enrol-required.ts'
import { recoveryCodesPage } from '../../views/pages/recovery-codes.ts'
import type { PageRoute, Visit } from '../browser.ts'
import { PageError } from '../page-error.ts'
import type { Services } from '../services.ts'
import { ACCOUNT_PATH, toAccount, toLogin } from './account.ts'
import { askerOf, follow, isFresh, requireFlow } from './authorize.ts'

/** Somebody who may change their second factors now. */
export interface FactorSetting {
  readonly current: CurrentSignIn
  readonly summary: FactorSummary
  /** The authorization request that waits for it. */
  readonly waiting: { readonly flow: Flow; readonly summary: RequestSummary } | null
}

/** A reply in a function, because replies are thenable: a promise of one would wait until it is sent. */
interface Leave {
  readonly leave: () => FastifyReply
}

/**
 * Who takes over a browser that was left open must not get a factor of their own, or take one away: the person has
 * signed in a moment ago, and with a second factor if they have one.
 * @param returnTo where the login leads if it is needed
 */
export async function factorSetting(
  services: Services,
  visit: Visit,
  returnTo: string,
): Promise<FactorSetting | Leave> {
  const { authorize, secondFactors } = services.people
  const carried = (visit.request.method === 'POST' ? visit.form : visit.query).get('flow')
  const flow = carried === undefined ? null : requireFlow(visit)
  const { current } = visit
  let waiting: FactorSetting['waiting'] = null
  if (flow?.request || flow?.pushed) {
    const outcome = await authorize.resume(flow, askerOf(visit))
    // What it is past, or what must come before.
    if (outcome.step !== 'enrol' || !isFresh(services, visit)) {
      return { leave: () => follow(services, visit, outcome) }
    }
    waiting = { flow, summary: outcome.summary }
  }
  if (!current || !isFresh(services, visit)) return { leave: () => toLogin(services, visit, returnTo) }
  const summary = await secondFactors.summary(current.user.id)
  if (hasFactor(summary) && !satisfies(current.signIn.amr, ACR_MFA)) {
    return { leave: () => toLogin(services, visit, returnTo) }
  }
  return { current, summary, waiting }
}

export const hasFactor = ({ totp, passkeys }: FactorSummary): boolean => totp || passkeys > 0

/** For the forms, and for the address that they may lead to in the end. */
export function carriedOn(visit: Visit, { waiting }: FactorSetting) {
  return {
    flow: waiting && visit.sealFlow(waiting.flow),
    leadsTo: waiting?.summary.request.redirectUri,
    page: visit.page(waiting?.summary.request.uiLocales),
  }
}

/** A factor was set up, and proven by that. */
export async function afterEnrolment(
  services: Services,
  visit: Visit,
  setting: FactorSetting,
  proof: Proof,
  notice: AccountNotice,
): Promise<FastifyReply> {
  const { signIns } = services.people
  const { current, summary } = setting
  let { waiting } = setting
  if (!satisfies(current.signIn.amr, ACR_MFA)) {
    const amr = amrOf([{ kind: 'password' }, proof])
    const begun = await signIns.begin(current.user, amr, current, visit.visitor)
    if (!begun) throw new PageError('access-denied')
    visit.setSession(begun.secret)
    const reauthenticated = { signInId: begun.signIn.id, authTime: begun.signIn.authTime }
    waiting = waiting && { ...waiting, flow: { ...waiting.flow, reauthenticated } }
  }
  if (!hasFactor(summary)) return showRecoveryCodes(services, visit, { ...setting, waiting })
  if (!waiting) return toAccount(visit, notice)
  return visit.redirect('/oauth2/authorize', { flow: visit.sealFlow(waiting.flow) })
}

/** Makes them, and shows them this once. */
export async function showRecoveryCodes(
  services: Services,
  visit: Visit,
  setting: FactorSetting,
): Promise<FastifyReply> {
  const { current, summary } = setting
  const codes = await services.people.secondFactors.newRecoveryCodes(current.user, visit.visitor)
  const { flow, page } = carriedOn(visit, setting)
  return visit.html(recoveryCodesPage({ codes, replaced: summary.recoveryCodes > 0, flow }, page))
}

export function enrolmentRoutes(services: Services): PageRoute[] {
  const { registry, secondFactors } = services.people
  return [
    {
      method: 'GET',
      path: '/account/second-factor',
      async handler(visit) {
        const setting = await factorSetting(services, visit, ACCOUNT_PATH)
        if ('leave' in setting) return setting.leave()
        const { current, waiting } = setting
        if (!waiting) return toAccount(visit)
        const { flow, page } = carriedOn(visit, setting)
        // By the application, unless the person's roles ask for it anyway.
        const byRole = registry.requiresSecondFactor(current.user.roles)
        const model = {
          username: current.user.username,
          clientName: byRole ? null : waiting.summary.client.name,
          flow,
        }
        return visit.html(enrolRequiredPage(model, page))
      },
    },
    {
      method: 'POST',
      path: '/account/recovery-codes',
      async handler(visit) {
        const setting = await factorSetting(services, visit, ACCOUNT_PATH)
        if ('leave' in setting) return setting.leave()
        // They stand in for a factor; where there is none they would be one by themselves.
        if (!hasFactor(setting.summary)) return toAccount(visit)
        return showRecoveryCodes(services, visit, setting)
      },
    },
    {
      method: 'POST',
      path: '/account/totp/remove',
      handler: (visit) =>
        remove(visit, async ({ current: { user }, summary }) => {
          if (!summary.totp) return 'already-gone'
          if (summary.passkeys === 0 && registry.requiresSecondFactor(user.roles)) {
            return 'second-factor-required'
          }
          const removed = await secondFactors.removeTotp(user, visit.visitor)
          return removed ? 'totp-removed' : 'already-gone'
        }),
    },
    {
      method: 'POST',
      path: '/account/passkeys/remove',
      handler: (visit) =>
        remove(visit, async ({ current: { user }, summary }) => {
          const id = visit.form.get('id') ?? ''
          const own = await secondFactors.listPasskeys(user.id)
          if (!own.some((passkey) => passkey.id === id)) return 'already-gone'
          if (!summary.totp && own.length === 1 && registry.requiresSecondFactor(user.roles)) {
            return 'second-factor-required'
          }
          const removed = await secondFactors.removePasskey(user, id, visit.visitor)
          return removed ? 'passkey-removed' : 'already-gone'
        }),
    },
  ]

  async function remove(
    visit: Visit,
    removal: (setting: FactorSetting) => Promise<AccountNotice>,
  ): Promise<FastifyReply> {
    const setting = await factorSetting(services, visit, ACCOUNT_PATH)
    if ('leave' in setting) return setting.leave()
    return toAccount(visit, await removal(setting))
  }
}
