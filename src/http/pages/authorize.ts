/** `/oauth2/authorize` (RFC 6749 §3.1): accepts authorization requests, redirects to the next page, or responds to the client. */
import type { Authorize } from '../../oauth/authorize/authorize.ts'
import type { FlowCodec } from '../../oauth/authorize/flow.ts'
import { repeatedIn } from '../../oauth/parameters.ts'
import { PageError } from '../page-error.ts'
import type { PageRoute } from '../page-scope.ts'
import { requesterOf, requireFlow, showOutcome } from './outcome.ts'

/**
 * Browsers send no cookie with a POST from another site. The flow of such a request is bound to this constant instead of to the
 * browser, until the redirect.
 */
const ARRIVAL = 'arrival'

export interface AuthorizePageDeps {
  readonly authorize: Authorize
  readonly flows: FlowCodec
}

export function authorizeRoutes({ authorize, flows }: AuthorizePageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: '/oauth2/authorize',
      async handler(request) {
        const { query } = request
        // RFC 6749 §3.1: an authorization request ignores unknown parameters, and `flow` and `arrival` are unknown there.
        const isRequest = query.get('client_id') !== undefined
        if (!isRequest && query.get('flow') !== undefined) {
          return showOutcome(request, await authorize.resume(requireFlow(request), requesterOf(request)))
        }
        const arrival = isRequest ? undefined : query.get('arrival')
        if (arrival === undefined) {
          return showOutcome(request, await authorize.start(request.pairs, requesterOf(request)))
        }
        const flow = flows.decrypt(arrival, ARRIVAL)
        if (!flow?.request) throw new PageError('expired')
        return showOutcome(request, await authorize.start(flow.request, requesterOf(request)))
      },
    },
    {
      method: 'POST',
      path: '/oauth2/authorize',
      // OIDC Core §3.1.2.1: any site may post a request. The POST itself decides nothing.
      csrf: 'none',
      async handler(request) {
        // RFC 6749 §3.1. Parameters in two places could be read differently by different parties.
        if (request.url.includes('?')) {
          throw new PageError('invalid-request', 'parameters must be in the URL or in the body, not in both')
        }
        if (repeatedIn(request.pairs).has('client_id'))
          throw new PageError('invalid-request', 'client_id is repeated')
        // Browsers omit SameSite cookies from another site's POST, but send them with the redirect that follows.
        const arrival = flows.encrypt({ arrivedAt: request.now(), request: request.pairs }, ARRIVAL)
        if (arrival === null)
          throw new PageError('invalid-request', 'the request is too long: push it (RFC 9126)')
        return request.redirect('/oauth2/authorize', { arrival })
      },
    },
  ]
}
