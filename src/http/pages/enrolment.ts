/** What the pages that set up second factors have in common: who may set one up, and what follows. */
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
import { toAccount, toLogin } from './account.ts'
import { recentlyAuthenticated, requesterOf, requireFlow, showOutcome } from './outcome.ts'

/** A user who may change their second factors now. */
export interface EnrolmentContext {
  readonly current: CurrentUserSession
  readonly summary: FactorSummary
  /** The authorization request that waits until a factor is set up. */
  readonly waiting: { readonly flow: Flow; readonly summary: RequestSummary } | null
}

/** A function, because replies are thenable: a promise of a reply would settle only when it is sent. */
interface OtherResponse {
  readonly respond: () => FastifyReply
}

export interface Enrolment {
  /**
   * Only for a user who logged in within the last minutes, and with a second factor if they have one: a browser that was left
   * open must not be enough to add a factor or to remove one.
   * @param returnTo where the login leads if it is needed
   */
  begin(request: PageRequest, returnTo: string): Promise<EnrolmentContext | OtherResponse>
  /** The user has set up a factor, and proven it by that. */
  finish(
    request: PageRequest,
    context: EnrolmentContext,
    proof: Proof,
    notice: AccountNotice,
  ): Promise<FastifyReply>
  /** Makes new recovery codes, and shows them this one time. */
  showRecoveryCodes(request: PageRequest, context: EnrolmentContext): Promise<FastifyReply>
}

export interface EnrolmentDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  readonly secondFactors: Pick<SecondFactors, 'summary' | 'replaceRecoveryCodes'>
  readonly userSessions: Pick<UserSessions, 'start'>
}

export const hasFactor = ({ totp, passkeys }: FactorSummary): boolean => totp || passkeys > 0

/** The flow for the forms of the page, and the address that the forms may lead to in the end. */
export function formContext(request: PageRequest, { waiting }: Pick<EnrolmentContext, 'waiting'>) {
  return {
    flow: waiting && request.encryptFlow(waiting.flow),
    leadsTo: waiting?.summary.request.redirectUri,
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
    async begin(request, returnTo) {
      const carried = (request.method === 'POST' ? request.form : request.query).get('flow')
      const flow = carried === undefined ? null : requireFlow(request)
      const { current } = request
      const recent = recentlyAuthenticated(request)
      let waiting: EnrolmentContext['waiting'] = null
      if (flow?.request || flow?.pushed) {
        const outcome = await authorize.resume(flow, requesterOf(request))
        // The flow needs no factor any more, or something else first.
        if (outcome.step !== 'enrol' || !recent) return { respond: () => showOutcome(request, outcome) }
        waiting = { flow, summary: outcome.summary }
      }
      if (!current || !recent) return { respond: () => toLogin(request, returnTo) }
      const summary = await secondFactors.summary(current.user.id)
      if (hasFactor(summary) && !satisfies(current.userSession.amr, ACR_MFA)) {
        return { respond: () => toLogin(request, returnTo) }
      }
      return { current, summary, waiting }
    },

    async finish(request, context, proof, notice) {
      const { current, summary } = context
      let { waiting } = context
      if (!satisfies(current.userSession.amr, ACR_MFA)) {
        const amr = amrOf([{ kind: 'password' }, proof])
        const begun = await userSessions.start(current.user, amr, current, request.requestInfo)
        if (!begun) throw new PageError('access-denied')
        request.setSession(begun.secret)
        const reauthenticated = { userSessionId: begun.userSession.id, authTime: begun.userSession.authTime }
        waiting = waiting && { ...waiting, flow: { ...waiting.flow, reauthenticated } }
      }
      if (!hasFactor(summary)) return showRecoveryCodes(request, { ...context, waiting })
      if (!waiting) return toAccount(request, notice)
      return request.redirect('/oauth2/authorize', { flow: request.encryptFlow(waiting.flow) })
    },

    showRecoveryCodes,
  }
}
