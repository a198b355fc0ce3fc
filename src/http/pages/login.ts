/** `/login`: a user logs in with a password or a passkey, and continues the flow or goes to the account page. */
import type { FastifyReply } from 'fastify'
import { amrOf } from '../../accounts/amr.ts'
import { Overloaded } from '../../accounts/concurrency-limiter.ts'
import type { Login, LoginOutcome } from '../../accounts/login.ts'
import { RateLimited } from '../../accounts/rate-limiter.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { UserSessions } from '../../accounts/user-sessions.ts'
import type { Authorize, Outcome } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { UserStore } from '../../store/contracts/users.ts'
import { type LoginMessage, type LoginModel, loginPage } from '../../views/pages/login.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { completeLogin } from './complete-login.ts'
import { pageFor, requesterOf, requireFlow, showOutcome } from './outcome.ts'
import { asChallenge } from './passkey-challenge.ts'
import { fingerprint } from './pending.ts'

export interface LoginPageDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  readonly login: Login
  readonly secondFactors: SecondFactors
  readonly users: Pick<UserStore, 'find'>
  readonly userSessions: Pick<UserSessions, 'start'>
}

/** The flow that the login belongs to, and the client that requested it. */
interface LoginContext {
  readonly flow: Flow
  readonly clientName: string | null
  readonly redirectUri: string | undefined
  readonly loginHint: string
  readonly locales: readonly string[]
  readonly clientId?: string
  /** The client requests a choice of accounts (`prompt=select_account`), or expects a user other than the signed-in one. */
  readonly selectAccount: boolean
}

export function loginRoutes(deps: LoginPageDeps): PageRoute[] {
  const { authorize, login, secondFactors, users, userSessions } = deps
  return [
    { method: 'GET', path: '/login', handler: show },
    { method: 'POST', path: '/login', csrf: 'browser', handler: post },
    { method: 'POST', path: '/login/passkey', csrf: 'browser', handler: postPasskey },
    { method: 'POST', path: '/login/cancel', csrf: 'browser', handler: cancel },
  ]

  async function show(request: PageRequest): Promise<FastifyReply> {
    const otherAccount = request.query.get('account') === 'other'
    if (request.query.get('flow') === undefined && request.current && !otherAccount)
      return request.redirect('/account')
    const context = await loginContext(authorize, request)
    if ('outcome' in context) return showOutcome(request, context.outcome)
    const usernameFixed = !otherAccount && request.current !== null && !context.selectAccount
    return render(request, context, {
      username: usernameFixed && request.current ? request.current.user.username : context.loginHint,
      usernameFixed,
      message: usernameFixed ? { kind: 'reauthenticate' } : null,
    })
  }

  async function post(request: PageRequest): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const context = await loginContext(authorize, request, true)
    if ('outcome' in context) return showOutcome(request, context.outcome)
    const username = form.get('username') ?? ''
    const password = form.get('password') ?? ''
    const renderAgain = (message: LoginMessage, status: number) =>
      render(request, context, { username, usernameFixed: false, message }, status)
    let outcome: LoginOutcome | null
    try {
      const { clientId } = context
      outcome =
        username === '' || password === ''
          ? null
          : await login({
              username,
              password,
              ip: requestInfo.ip,
              requestId: requestInfo.requestId,
              clientId,
            })
    } catch (error) {
      if (error instanceof RateLimited) {
        request.reply.header('retry-after', String(error.retryAfter))
        return renderAgain({ kind: 'rate_limited', seconds: error.retryAfter }, 429)
      }
      if (!(error instanceof Overloaded)) throw error
      request.reply.header('retry-after', String(error.retryAfter))
      return renderAgain({ kind: 'busy' }, 503)
    }
    if (!outcome?.ok) return renderAgain({ kind: 'credentials' }, 400)
    const { user } = outcome
    const { totp, passkeys } = await secondFactors.summary(user.id)
    if (totp || passkeys > 0) {
      const pending = { userId: user.id, at: request.now(), fingerprint: fingerprint(user) }
      return request.redirect('/login/second-factor', {
        flow: request.encryptFlow({ ...context.flow, pending }),
      })
    }
    return completeLogin(userSessions, request, context.flow, user, amrOf([{ kind: 'password' }]))
  }

  async function postPasskey(request: PageRequest): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const context = await loginContext(authorize, request, true)
    if ('outcome' in context) return showOutcome(request, context.outcome)
    const proof = await secondFactors.finishPasskeyAuthentication(
      form.get('credential') ?? '',
      form.get('challenge') ?? '',
      null,
      requestInfo,
    )
    const user = proof ? await users.find(proof.userId) : null
    if (!proof || !user || user.disabled) {
      return render(
        request,
        context,
        { username: '', usernameFixed: false, message: { kind: 'passkey' } },
        400,
      )
    }
    return completeLogin(userSessions, request, context.flow, user, amrOf([{ kind: 'passkey', ...proof }]))
  }

  /** The client gets `access_denied` (RFC 6749 §4.1.2.1), at a redirect URI that is checked again. */
  async function cancel(request: PageRequest): Promise<FastifyReply> {
    const flow = requireFlow(request)
    if (!flow.request && !flow.pushed) return request.redirect('/account')
    // No user is passed on: the user who is signed in with this browser may be someone else, who has decided nothing.
    const requester = { ...requesterOf(request), current: null }
    return showOutcome(request, await authorize.resume(flow, { ...requester, decision: { allow: false } }))
  }

  async function render(
    request: PageRequest,
    context: LoginContext,
    model: Pick<LoginModel, 'username' | 'usernameFixed' | 'message'>,
    status = 200,
  ): Promise<FastifyReply> {
    const passkey = secondFactors.passkeysAvailable
      ? asChallenge(await secondFactors.startPasskeyAuthentication(null))
      : null
    const text = loginPage(
      { ...model, clientName: context.clientName, flow: request.encryptFlow(context.flow), passkey },
      request.loginPageContext(context.locales),
    )
    return request.html(text, { status, formTarget: context.redirectUri, scripts: passkey !== null })
  }
}

/** Returns the context, or the outcome to show if the flow no longer needs a login. */
async function loginContext(
  authorize: Pick<Authorize, 'resume'>,
  request: PageRequest,
  isPost = false,
): Promise<LoginContext | { readonly outcome: Outcome }> {
  const text = (isPost ? request.form : request.query).get('flow')
  const noClient = {
    clientName: null,
    redirectUri: undefined,
    loginHint: '',
    locales: [],
    selectAccount: false,
  }
  if (text === undefined) return { flow: { arrivedAt: request.now() }, ...noClient }
  const flow = request.decryptFlow()
  if (!flow) throw new PageError('expired')
  if (!flow.request && !flow.pushed) return { flow, ...noClient }
  const otherAccount = request.query.get('account') === 'other'
  // A user who enters a password or wants another account must not be signed in as the user of another tab.
  const requester = isPost || otherAccount ? { ...requesterOf(request), current: null } : requesterOf(request)
  const outcome = await authorize.resume(flow, requester)
  if (outcome.step === 'response') return { outcome }
  if (!isPost && !otherAccount && pageFor(request, outcome.step) !== 'login') return { outcome }
  const { client, request: authorizationRequest } = outcome.summary
  return {
    flow,
    clientId: client.id,
    clientName: client.name,
    redirectUri: authorizationRequest.redirectUri,
    loginHint: authorizationRequest.loginHint ?? '',
    locales: authorizationRequest.uiLocales,
    selectAccount: authorizationRequest.prompts.has('select_account') || outcome.summary.expectsAnotherUser,
  }
}
