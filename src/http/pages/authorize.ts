/** `/oauth2/authorize` (RFC 6749 §3.1): takes requests, sends people to the page that is next, and answers. */
import type { FastifyReply } from 'fastify'
import type { Outcome } from '../../oauth/authorize/authorize.ts'
import { repeatedIn } from '../../oauth/parameters.ts'
import type { Seconds } from '../../system.ts'
import { formPostPage } from '../../views/pages/form-post.ts'
import { handOverPage } from '../../views/pages/redirect-interstitial.ts'
import type { PageRoute, Visit } from '../browser.ts'
import { PageError } from '../page-error.ts'
import type { Services } from '../services.ts'

/** A flow that was posted here from another site, on its way to where the cookies are sent. */
const ARRIVAL = 'arrival'
/** Whoever proved the password longer ago does it again, with a second factor or before setting one up. */
const FRESH: Seconds = 600

export function authorizeRoutes(services: Services): PageRoute[] {
  const { authorize, flows } = services.people

  return [
    {
      method: 'GET',
      path: '/oauth2/authorize',
      // It may issue a code, and use up a request that was pushed.
      head: false,
      async handler(visit) {
        const { query } = visit
        // RFC 6749 §3.1: in a request, names that are not known there are ignored, ours too.
        const isRequest = query.get('client_id') !== undefined
        if (!isRequest && query.get('flow') !== undefined) return resume(services, visit)
        const arrival = isRequest ? undefined : query.get('arrival')
        if (arrival === undefined) {
          return follow(services, visit, await authorize.start(visit.pairs, askerOf(visit)))
        }
        const flow = flows.open(arrival, ARRIVAL)
        if (!flow?.request) throw new PageError('expired')
        return follow(services, visit, await authorize.start(flow.request, askerOf(visit)))
      },
    },
    {
      method: 'POST',
      path: '/oauth2/authorize',
      // OIDC Core §3.1.2.1: anybody's form may ask; nothing is decided by it.
      csrf: 'none',
      async handler(visit) {
        // RFC 6749 §3.1 allows one place; two would be read differently by different people.
        if (visit.request.url.includes('?')) {
          throw new PageError('invalid-request', 'parameters belong into the URL or the body, not into both')
        }
        if (repeatedIn(visit.pairs).has('client_id'))
          throw new PageError('invalid-request', 'client_id is repeated')
        // Browsers keep SameSite cookies to themselves when another site posts, but not when they are then redirected.
        const arrival = flows.seal({ arrivedAt: services.now(), request: visit.pairs }, ARRIVAL)
        if (arrival === undefined)
          throw new PageError('invalid-request', 'the request is too long: push it (RFC 9126)')
        return visit.redirect('/oauth2/authorize', { arrival })
      },
    },
  ]
}

export function askerOf({ current, visitor }: Visit) {
  return { current, ip: visitor.ip, requestId: visitor.requestId }
}

/** Goes on with the flow that the URL or the form carries. */
export async function resume(services: Services, visit: Visit): Promise<FastifyReply> {
  return follow(services, visit, await services.people.authorize.resume(requireFlow(visit), askerOf(visit)))
}

export function requireFlow(visit: Visit) {
  const flow = visit.openFlow()
  if (!flow) throw new PageError('expired')
  return flow
}

const PAGES = {
  login: '/login',
  'second-factor': '/login/second-factor',
  consent: '/consent',
  enrol: '/account/second-factor',
} as const

/** Where an outcome leads: to a page, or to the client. */
export function follow(services: Services, visit: Visit, outcome: Outcome): FastifyReply {
  if (outcome.step !== 'answer') {
    return visit.redirect(PAGES[pageOf(services, visit, outcome.step)], {
      flow: visit.sealFlow(outcome.flow),
    })
  }
  const { response } = outcome
  if (response.mode === 'query') {
    const { url } = response
    return visit.leave(url, () => handOverPage({ clientName: outcome.clientName, url }, visit.page()))
  }
  const model = {
    clientName: outcome.clientName,
    action: response.action,
    fields: Object.fromEntries(response.fields),
  }
  // Its one form goes to the registered address, and from there wherever the client redirects it.
  return visit.html(formPostPage(model, visit.page()), { leadsTo: null, scripts: true })
}

/** The person has proven who they are a moment ago. */
export function isFresh(services: Services, { current }: Visit): boolean {
  return current !== null && services.now() - current.signIn.authTime <= FRESH
}

export function pageOf(services: Services, visit: Visit, step: keyof typeof PAGES): keyof typeof PAGES {
  const needsFresh = step === 'second-factor' || step === 'enrol'
  return needsFresh && !isFresh(services, visit) ? 'login' : step
}
