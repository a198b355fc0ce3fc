/** Shared by the pages that set up second factors: which users may do so, and what happens afterwards. */
import type { FastifyReply } from 'fastify'
import { ACR_MFA, amrOf, type Proof, satisfies } from '../../accounts/amr.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { CurrentUserSession, UserSessions } from '../../accounts/user-sessions.ts'
import type { RequestSummary } from '../../oauth/authorize/assess.ts'
import type { Authorize } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import type { FactorSummary } from '../../store/contracts/factors.ts'
import type { AccountNotice } from '../../views/pages/account.ts'
import { recoveryCodesPage } from '../../views/pages/recovery-codes.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import { redirectToAccount, redirectToLogin } from './account.ts'
import { recentlyAuthenticated, requesterOf, requireFlow, showOutcome } from './outcome.ts'

/** The signed-in user, who has authenticated recently enough to change second factors. */
export interface EnrolmentContext {
  readonly current: CurrentUserSession
  readonly summary: FactorSummary
  /** The authorization request that waits for a second factor. */
  readonly waiting: { readonly flow: Flow; readonly summary: RequestSummary } | null
}

/** A function, because a Fastify reply is thenable: a promise for it would resolve only when it is sent. */
interface OtherResponse {
  readonly respond: () => FastifyReply
}

export interface Enrolment {
  /**
   * Returns the context if the user logged in recently, with a second factor if they have one; otherwise the response to send. A
   * browser that was left open must not be enough to add or remove a factor.
   * @param returnTo the page that a necessary login returns to
   */
  start(request: PageRequest, returnTo: string): Promise<EnrolmentContext | OtherResponse>
  /** Called when the user has set up a factor, which also proves possession of it. */
  finish(
    request: PageRequest,
    context: EnrolmentContext,
    proof: Proof,
    notice: AccountNotice,
  ): Promise<FastifyReply>
  /** Creates new recovery codes and shows them, once. */
  showRecoveryCodes(request: PageRequest, context: EnrolmentContext): Promise<FastifyReply>
}

export interface EnrolmentDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  readonly secondFactors: Pick<SecondFactors, 'summary' | 'replaceRecoveryCodes'>
  readonly userSessions: Pick<UserSessions, 'start'>
}

export const hasFactor = ({ totp, passkeys }: FactorSummary): boolean => totp || passkeys > 0

/** The flow for the forms of a page, the client's address that they may lead to, and the page context. */
export function formContext(request: PageRequest, { waiting }: Pick<EnrolmentContext, 'waiting'>) {
  return {
    flow: waiting && request.encryptFlow(waiting.flow),
    formTarget: waiting?.summary.request.redirectUri,
    page: request.pageContext(waiting?.summary.request.uiLocales),
  }
}

export function createEnrolment({ authorize, secondFactors, userSessions }: EnrolmentDeps): Enrolment {
  async function showRecoveryCodes(request: PageRequest, context: EnrolmentContext): Promise<FastifyReply> {
    const { current, summary } = context
    const codes = await secondFactors.replaceRecoveryCodes(current.user, request.requestInfo)
    const { flow, page } = formContext(request, context)
    return request.html(recoveryCodesPage({ codes, replaced: summary.recoveryCodes > 0, flow }, page))
  }

  return {
    async start(request, returnTo) {
      const flowText = (request.method === 'POST' ? request.form : request.query).get('flow')
      const flow = flowText === undefined ? null : requireFlow(request)
      const { current } = request
      const recent = recentlyAuthenticated(request)
      let waiting: EnrolmentContext['waiting'] = null
      if (flow?.request || flow?.pushed) {
        const outcome = await authorize.resume(flow, requesterOf(request))
        // The flow no longer needs a factor, or needs another step first.
        if (outcome.step !== 'enrol' || !recent) return { respond: () => showOutcome(request, outcome) }
        waiting = { flow, summary: outcome.summary }
      }
      if (!current || !recent) return { respond: () => redirectToLogin(request, returnTo) }
      const summary = await secondFactors.summary(current.user.id)
      if (hasFactor(summary) && !satisfies(current.userSession.amr, ACR_MFA)) {
        return { respond: () => redirectToLogin(request, returnTo) }
      }
      return { current, summary, waiting }
    },

    async finish(request, context, proof, notice) {
      const { current, summary } = context
      let { waiting } = context
      if (!satisfies(current.userSession.amr, ACR_MFA)) {
        const amr = amrOf([{ kind: 'password' }, proof])
        const created = await userSessions.start(current.user, amr, current, request.requestInfo)
        if (!created) throw new PageError('access-denied')
        request.setSession(created.secret)
        const reauthenticated = {
          userSessionId: created.userSession.id,
          authTime: created.userSession.authTime,
        }
        waiting = waiting && { ...waiting, flow: { ...waiting.flow, reauthenticated } }
      }
      if (!hasFactor(summary)) return showRecoveryCodes(request, { ...context, waiting })
      if (!waiting) return redirectToAccount(request, notice)
      return request.redirect('/oauth2/authorize', { flow: request.encryptFlow(waiting.flow) })
    },

    showRecoveryCodes,
  }
}
