/** `/login`: who somebody is. Leads back to the flow it came from, or to the account page. */
import type { FastifyReply } from 'fastify'
import { amrOf } from '../../accounts/amr.ts'
import { GateFull } from '../../accounts/concurrency-limiter.ts'
import type { LoginOutcome } from '../../accounts/login.ts'
import { Throttled } from '../../accounts/rate-limiter.ts'
import type { Outcome } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { User } from '../../store/contracts/users.ts'
import { type LoginMessage, type LoginModel, loginPage } from '../../views/pages/login.ts'
import type { PageRoute, Visit } from '../browser.ts'
import { PageError } from '../page-error.ts'
import type { Services } from '../services.ts'
import { askerOf, follow, pageOf } from './authorize.ts'
import { asChallenge } from './passkey-challenge.ts'
import { fingerprint } from './pending.ts'

interface Setting {
  readonly flow: Flow
  readonly clientName: string | null
  readonly redirectUri: string | undefined
  readonly loginHint: string
  readonly locales: readonly string[]
}

export function loginRoutes(services: Services): PageRoute[] {
  const { login, secondFactors } = services.people
  return [
    { method: 'GET', path: '/login', handler: show },
    { method: 'POST', path: '/login', csrf: 'browser', handler: post },
    { method: 'POST', path: '/login/passkey', csrf: 'browser', handler: postPasskey },
  ]

  async function show(visit: Visit): Promise<FastifyReply> {
    const other = visit.query.get('account') === 'other'
    if (visit.query.get('flow') === undefined && visit.current && !other) return visit.redirect('/account')
    const setting = await settingOf(services, visit)
    if ('past' in setting) return follow(services, visit, setting.past)
    const known = !other && visit.current !== null && !setting.selectAccount
    return render(visit, setting, {
      username: known && visit.current ? visit.current.user.username : setting.loginHint,
      known,
      message: known ? { kind: 'reauthenticate' } : null,
    })
  }

  async function post(visit: Visit): Promise<FastifyReply> {
    const { form, visitor } = visit
    const setting = await settingOf(services, visit, true)
    if ('past' in setting) return follow(services, visit, setting.past)
    const username = form.get('username') ?? ''
    const password = form.get('password') ?? ''
    const again = (message: LoginMessage, status: number) =>
      render(visit, setting, { username, known: false, message }, status)
    let outcome: LoginOutcome | null
    try {
      const { clientId } = setting
      outcome =
        username === '' || password === ''
          ? null
          : await login({ username, password, ip: visitor.ip, requestId: visitor.requestId, clientId })
    } catch (error) {
      if (error instanceof Throttled) {
        visit.reply.header('retry-after', String(error.retryAfter))
        return again({ kind: 'throttled', seconds: error.retryAfter }, 429)
      }
      if (!(error instanceof GateFull)) throw error
      visit.reply.header('retry-after', String(error.retryAfter))
      return again({ kind: 'busy' }, 503)
    }
    if (!outcome?.ok) return again({ kind: 'credentials' }, 400)
    const { user } = outcome
    const { totp, passkeys } = await secondFactors.summary(user.id)
    if (totp || passkeys > 0) {
      const pending = { userId: user.id, at: services.now(), fingerprint: fingerprint(user) }
      return visit.redirect('/login/second-factor', { flow: visit.sealFlow({ ...setting.flow, pending }) })
    }
    return signIn(services, visit, setting.flow, user, amrOf([{ kind: 'password' }]))
  }

  async function postPasskey(visit: Visit): Promise<FastifyReply> {
    const { form, visitor } = visit
    const setting = await settingOf(services, visit, true)
    if ('past' in setting) return follow(services, visit, setting.past)
    const proof = await secondFactors.finishPasskeyAuthentication(
      form.get('credential') ?? '',
      form.get('challenge') ?? '',
      null,
      visitor,
    )
    const user = proof ? await services.people.users.find(proof.userId) : null
    if (!proof || !user || user.disabled) {
      return render(visit, setting, { username: '', known: false, message: { kind: 'passkey' } }, 400)
    }
    return signIn(services, visit, setting.flow, user, amrOf([{ kind: 'passkey', ...proof }]))
  }

  async function render(
    visit: Visit,
    setting: Setting,
    model: Pick<LoginModel, 'username' | 'known' | 'message'>,
    status = 200,
  ): Promise<FastifyReply> {
    const passkey = secondFactors.passkeysAvailable
      ? asChallenge(await secondFactors.beginPasskeyAuthentication(null))
      : null
    const text = loginPage(
      { ...model, clientName: setting.clientName, flow: visit.sealFlow(setting.flow), passkey },
      visit.loginPage(setting.locales),
    )
    return visit.html(text, { status, leadsTo: setting.redirectUri, scripts: passkey !== null })
  }
}

type FoundSetting = Setting & { readonly clientId?: string; readonly selectAccount: boolean }

/** What the login is for; or what is next, if the flow is past it. */
async function settingOf(
  services: Services,
  visit: Visit,
  posted = false,
): Promise<FoundSetting | { readonly past: Outcome }> {
  const text = (posted ? visit.form : visit.query).get('flow')
  const none = { clientName: null, redirectUri: undefined, loginHint: '', locales: [], selectAccount: false }
  if (text === undefined) return { flow: { arrivedAt: services.now() }, ...none }
  const flow = visit.openFlow()
  if (!flow) throw new PageError('expired')
  if (!flow.request && !flow.pushed) return { flow, ...none }
  const other = visit.query.get('account') === 'other'
  // Who types a password, or wants to, is not answered as whom another tab has signed in meanwhile.
  const asker = posted || other ? { ...askerOf(visit), current: null } : askerOf(visit)
  const outcome = await services.people.authorize.resume(flow, asker)
  if (outcome.step === 'answer') return { past: outcome }
  if (!posted && !other && pageOf(services, visit, outcome.step) !== 'login') return { past: outcome }
  const { client, request } = outcome.summary
  return {
    flow,
    clientId: client.id,
    clientName: client.name,
    redirectUri: request.redirectUri,
    loginHint: request.loginHint ?? '',
    locales: request.uiLocales,
    selectAccount: request.prompts.has('select_account'),
  }
}

/** The end of every way to sign in. */
export async function signIn(
  services: Services,
  visit: Visit,
  flow: Flow,
  user: User,
  amr: readonly string[],
): Promise<FastifyReply> {
  const begun = await services.people.signIns.begin(user, amr, visit.current, visit.visitor)
  if (!begun) throw new PageError('access-denied')
  visit.setSession(begun.secret)
  const { pending, ...rest } = flow
  const reauthenticated = { signInId: begun.signIn.id, authTime: begun.signIn.authTime }
  if (flow.request || flow.pushed) {
    return visit.redirect('/oauth2/authorize', { flow: visit.sealFlow({ ...rest, reauthenticated }) })
  }
  return visit.redirect(flow.returnTo ?? '/account')
}
