/** `/login/second-factor`: the second half of a login, for who has a second factor. */
import type { FastifyReply } from 'fastify'
import { amrOf, type Proof } from '../../accounts/amr.ts'
import { Throttled } from '../../accounts/rate-limiter.ts'
import type { Outcome } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { User } from '../../store/contracts/users.ts'
import type { Seconds } from '../../system.ts'
import { type SecondFactorMessage, secondFactorPage } from '../../views/pages/second-factor.ts'
import type { PageRoute, Visit } from '../browser.ts'
import type { Services } from '../services.ts'
import { askerOf, follow, pageOf, requireFlow } from './authorize.ts'
import { signIn } from './login.ts'
import { asChallenge } from './passkey-challenge.ts'
import { fingerprint } from './pending.ts'

/** The password was proven a moment ago, or not. */
const PENDING_TTL: Seconds = 600

interface Situation {
  readonly leadsTo?: string
  readonly locales: readonly string[]
}

export function secondFactorRoutes(services: Services): PageRoute[] {
  const { secondFactors, users } = services.people
  return [
    { method: 'GET', path: '/login/second-factor', handler: (visit) => render(visit, null) },
    { method: 'POST', path: '/login/second-factor', csrf: 'browser', handler: post },
  ]

  async function post(visit: Visit): Promise<FastifyReply> {
    const { form, visitor } = visit
    const flow = requireFlow(visit)
    const user = await whoOf(visit, flow)
    if (!user) return again(visit, flow)
    // As the page itself does: who must type the password again does not get by with a code.
    const situation = await situationOf(visit, flow)
    if ('past' in situation) return follow(services, visit, situation.past)
    const credential = form.get('credential')
    const recovery = form.get('recovery_code')
    let proof: Proof | null
    try {
      proof =
        credential !== undefined
          ? await passkey(user, credential, form.get('challenge') ?? '', visit)
          : await code(user, recovery ?? form.get('code') ?? '', visit)
    } catch (error) {
      if (!(error instanceof Throttled)) throw error
      visit.reply.header('retry-after', String(error.retryAfter))
      return render(visit, { kind: 'throttled', seconds: error.retryAfter }, 429)
    }
    if (!proof) {
      const kind = credential !== undefined ? 'passkey' : recovery !== undefined ? 'recovery-code' : 'code'
      return render(visit, { kind }, 400)
    }
    return signIn(services, visit, flow, user, amrOf([{ kind: 'password' }, proof]))

    async function code(user: User, text: string, { visitor }: Visit): Promise<Proof | null> {
      const kind = text === '' ? null : await secondFactors.checkCode(user, text, visitor)
      return kind && { kind }
    }
    async function passkey(
      user: User,
      json: string,
      challenge: string,
      _visit: Visit,
    ): Promise<Proof | null> {
      const proof = await secondFactors.finishPasskeyAuthentication(json, challenge, user.id, visitor)
      return proof && { kind: 'passkey', ...proof }
    }
  }

  /** Who has proven the password: in this flow a moment ago, or by the sign-in that is not enough now. */
  async function whoOf(visit: Visit, flow: Flow): Promise<User | null> {
    const { pending } = flow
    if (pending) {
      if (services.now() - pending.at > PENDING_TTL) return null
      const user = await users.find(pending.userId)
      return user && !user.disabled && fingerprint(user) === pending.fingerprint ? user : null
    }
    if (!flow.request && !flow.pushed) return null
    const fresh = visit.current && services.now() - visit.current.signIn.authTime <= PENDING_TTL
    return fresh ? (visit.current?.user ?? null) : null
  }

  /** What the page is for; or what is next, if the request asks for something else. */
  async function situationOf(visit: Visit, flow: Flow): Promise<Situation | { readonly past: Outcome }> {
    if (!flow.request && !flow.pushed) return { locales: [] }
    // Who has proven a password is not answered as whom another tab has signed in meanwhile.
    const asker = flow.pending ? { ...askerOf(visit), current: null } : askerOf(visit)
    const outcome = await services.people.authorize.resume(flow, asker)
    if (outcome.step === 'answer') return { past: outcome }
    if (!flow.pending && pageOf(services, visit, outcome.step) !== 'second-factor') return { past: outcome }
    const { redirectUri, uiLocales } = outcome.summary.request
    return { leadsTo: redirectUri, locales: uiLocales }
  }

  /** Too late, or the account has changed: from the password on. */
  function again(visit: Visit, { pending, ...flow }: Flow): FastifyReply {
    return visit.redirect('/login', { flow: visit.sealFlow(flow) })
  }

  async function render(
    visit: Visit,
    message: SecondFactorMessage | null,
    status = 200,
  ): Promise<FastifyReply> {
    const flow = requireFlow(visit)
    const user = await whoOf(visit, flow)
    if (!user) return again(visit, flow)
    const situation = await situationOf(visit, flow)
    if ('past' in situation) return follow(services, visit, situation.past)
    const { leadsTo, locales } = situation
    const { totp, passkeys, recoveryCodes } = await secondFactors.summary(user.id)
    const passkey = passkeys > 0 ? asChallenge(await secondFactors.beginPasskeyAuthentication(user.id)) : null
    const model = {
      username: user.username,
      flow: visit.sealFlow(flow),
      totp,
      recoveryCodes: recoveryCodes > 0,
      passkey,
      message,
    }
    return visit.html(secondFactorPage(model, visit.loginPage(locales)), {
      status,
      ...(leadsTo === undefined ? {} : { leadsTo }),
      scripts: passkey !== null,
    })
  }
}
