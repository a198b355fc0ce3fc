/**
 * What pages do with the authorization request that a browser carries from page to page: read it, and follow what the
 * authorization endpoint's work has decided. Pages meet only here: none of them names the page that comes next.
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
  'second-factor': '/login/second-factor',
  consent: '/consent',
  enrol: '/account/second-factor',
} as const
export type PageStep = keyof typeof PATHS

/** Who sends the request, for the rules of the authorization endpoint. */
export function requesterOf({ current, requestInfo }: PageRequest) {
  return { current, ip: requestInfo.ip, requestId: requestInfo.requestId }
}

/** @throws {PageError} if the request carries no flow, or one that is expired or of another browser */
export function requireFlow(request: PageRequest): Flow {
  const flow = request.decryptFlow()
  if (!flow) throw new PageError('expired')
  return flow
}

/** Sends the browser to the page that is next, or back to the client. */
export function showOutcome(request: PageRequest, outcome: Outcome): FastifyReply {
  if (outcome.step !== 'answer') {
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
  // The page's one form goes to the registered address, and from there wherever the client redirects it.
  return request.html(formPostPage(model, request.pageContext()), { leadsTo: null, scripts: true })
}

/** The user has proven who they are within the last minutes. */
export function recentlyAuthenticated({ current, now }: PageRequest): boolean {
  return current !== null && now() - current.userSession.authTime <= RECENT_LOGIN_TTL
}

export function pageFor(request: PageRequest, step: PageStep): PageStep {
  const needsRecentLogin = step === 'second-factor' || step === 'enrol'
  return needsRecentLogin && !recentlyAuthenticated(request) ? 'login' : step
}
