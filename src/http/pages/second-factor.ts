/** `/login/second-factor`: the second step of a login, for users with a second factor. */
import type { FastifyReply } from 'fastify'
import { amrOf, type Proof } from '../../accounts/amr.ts'
import { PENDING_LOGIN_TTL } from '../../accounts/lifetimes.ts'
import { RateLimited } from '../../accounts/rate-limiter.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { UserSessions } from '../../accounts/user-sessions.ts'
import type { Authorize, Outcome } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { User, UserStore } from '../../store/contracts/users.ts'
import { type SecondFactorMessage, secondFactorPage } from '../../views/pages/second-factor.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { completeLogin } from './complete-login.ts'
import { pageFor, requesterOf, requireFlow, showOutcome } from './outcome.ts'
import { asChallenge } from './passkey-challenge.ts'
import { fingerprint } from './pending.ts'

export interface SecondFactorPageDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  readonly secondFactors: SecondFactors
  readonly users: Pick<UserStore, 'find'>
  readonly userSessions: Pick<UserSessions, 'start'>
}

interface SecondFactorContext {
  readonly clientName: string | null
  readonly formTarget?: string
  readonly locales: readonly string[]
}

export function secondFactorRoutes(deps: SecondFactorPageDeps): PageRoute[] {
  const { authorize, secondFactors, users, userSessions } = deps
  return [
    { method: 'GET', path: '/login/second-factor', handler: (request) => render(request, null) },
    { method: 'POST', path: '/login/second-factor', csrf: 'browser', handler: post },
  ]

  async function post(request: PageRequest): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const flow = requireFlow(request)
    const user = await userOf(request, flow)
    if (!user) return restartLogin(request, flow)
    // The checks of the rendered page are repeated, because a code must not replace a password that must be entered again.
    const context = await contextOf(request, flow)
    if ('outcome' in context) return showOutcome(request, context.outcome)
    const credential = form.get('credential')
    const recovery = form.get('recovery_code')
    let proof: Proof | null
    try {
      proof =
        credential !== undefined
          ? await verifyPasskey(user, credential, form.get('challenge') ?? '')
          : await verifyCode(user, recovery ?? form.get('code') ?? '')
    } catch (error) {
      if (!(error instanceof RateLimited)) throw error
      request.reply.header('retry-after', String(error.retryAfter))
      return render(request, { kind: 'rate_limited', seconds: error.retryAfter }, 429)
    }
    if (!proof) {
      const kind = credential !== undefined ? 'passkey' : recovery !== undefined ? 'recovery-code' : 'code'
      return render(request, { kind }, 400)
    }
    return completeLogin(userSessions, request, flow, user, amrOf([{ kind: 'password' }, proof]))

    async function verifyCode(user: User, text: string): Promise<Proof | null> {
      const kind = text === '' ? null : await secondFactors.checkCode(user, text, requestInfo)
      return kind && { kind }
    }

    async function verifyPasskey(user: User, json: string, challenge: string): Promise<Proof | null> {
      const proof = await secondFactors.finishPasskeyAuthentication(json, challenge, user.id, requestInfo)
      return proof && { kind: 'passkey', ...proof }
    }
  }

  /** The user who entered the password, in this flow or in a recent login; null if the login has to start again. */
  async function userOf(request: PageRequest, flow: Flow): Promise<User | null> {
    const { pending } = flow
    if (pending) {
      if (request.now() - pending.at > PENDING_LOGIN_TTL) return null
      const user = await users.find(pending.userId)
      return user && !user.disabled && fingerprint(user) === pending.fingerprint ? user : null
    }
    if (!flow.request && !flow.pushed) return null
    const isRecent =
      request.current && request.now() - request.current.userSession.authTime <= PENDING_LOGIN_TTL
    return isRecent ? (request.current?.user ?? null) : null
  }

  /** Returns the context, or the outcome to show if the flow needs another step. */
  async function contextOf(
    request: PageRequest,
    flow: Flow,
  ): Promise<SecondFactorContext | { readonly outcome: Outcome }> {
    if (!flow.request && !flow.pushed) return { clientName: null, locales: [] }
    // A user who has entered a password must not be signed in as the user of another tab.
    const requester = flow.pending ? { ...requesterOf(request), current: null } : requesterOf(request)
    const outcome = await authorize.resume(flow, requester)
    if (outcome.step === 'response') return { outcome }
    if (!flow.pending && pageFor(request, outcome.step) !== 'second-factor') return { outcome }
    const { client, request: authorizationRequest } = outcome.summary
    const { redirectUri, uiLocales } = authorizationRequest
    return { clientName: client.name, formTarget: redirectUri, locales: uiLocales }
  }

  /** The login is too old or the account has changed, so the user must enter the password again. */
  function restartLogin(request: PageRequest, { pending, ...flow }: Flow): FastifyReply {
    return request.redirect('/login', { flow: request.encryptFlow(flow) })
  }

  async function render(
    request: PageRequest,
    message: SecondFactorMessage | null,
    status = 200,
  ): Promise<FastifyReply> {
    const flow = requireFlow(request)
    const user = await userOf(request, flow)
    if (!user) return restartLogin(request, flow)
    const context = await contextOf(request, flow)
    if ('outcome' in context) return showOutcome(request, context.outcome)
    const { clientName, formTarget, locales } = context
    const { totp, passkeys, recoveryCodes } = await secondFactors.summary(user.id)
    const passkey = passkeys > 0 ? asChallenge(await secondFactors.startPasskeyAuthentication(user.id)) : null
    const model = {
      username: user.username,
      clientName,
      flow: request.encryptFlow(flow),
      totp,
      recoveryCodes: recoveryCodes > 0,
      passkey,
      message,
    }
    return request.html(secondFactorPage(model, request.loginPageContext(locales)), {
      status,
      ...(formTarget === undefined ? {} : { formTarget }),
      scripts: passkey !== null,
    })
  }
}
