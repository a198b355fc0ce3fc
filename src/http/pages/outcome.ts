/**
 * What pages do with the flow that the browser carries: decrypt it, and show the outcome that `authorize` has decided on. Only
 * this file knows the paths of the next pages; no page names another.
 */
import type { FastifyReply } from 'fastify'
import { RECENT_LOGIN_TTL } from '../../accounts/lifetimes.ts'
import type { Outcome } from '../../oauth/authorize/authorize.ts'
import type { Flow } from '../../oauth/authorize/flow.ts'
import { formPostPage } from '../../views/pages/form-post.ts'
import { redirectInterstitialPage } from '../../views/pages/redirect-interstitial.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'

const PATHS = {
  login: '/login',
  'choose-account': '/login/account',
  'second-factor': '/login/second-factor',
  consent: '/consent',
  enrol: '/account/second-factor',
} as const
export type PageStep = keyof typeof PATHS

/** The context that `authorize` needs from a request. */
export function requesterOf({ current, requestInfo }: PageRequest) {
  return { current, ip: requestInfo.ip, requestId: requestInfo.requestId }
}

/** @throws {PageError} if the request has no flow, or the flow has expired or belongs to another browser */
export function requireFlow(request: PageRequest): Flow {
  const flow = request.decryptFlow()
  if (!flow) throw new PageError('expired')
  return flow
}

/** Redirects the browser to the next page, or delivers the response to the client. */
export function showOutcome(request: PageRequest, outcome: Outcome): FastifyReply {
  if (outcome.step !== 'response') {
    return request.redirect(PATHS[pageFor(request, outcome.step)], {
      flow: request.encryptFlow(outcome.flow),
    })
  }
  const { response, clientName } = outcome
  if (response.mode === 'query') {
    const { url } = response
    return request.redirectToClient(url, () =>
      redirectInterstitialPage({ clientName, url }, request.pageContext()),
    )
  }
  const model = { clientName, action: response.action, fields: Object.fromEntries(response.fields) }
  // The form of this page posts to the registered address, and the client may redirect from there to any address.
  return request.html(formPostPage(model, request.pageContext()), { formTarget: null, scripts: true })
}

/** Whether the user logged in within the last minutes. */
export function recentlyAuthenticated({ current, now }: PageRequest): boolean {
  return current !== null && now() - current.userSession.authTime <= RECENT_LOGIN_TTL
}

export function pageFor(request: PageRequest, step: PageStep): PageStep {
  const needsRecentLogin = step === 'second-factor' || step === 'enrol'
  return needsRecentLogin && !recentlyAuthenticated(request) ? 'login' : step
}
