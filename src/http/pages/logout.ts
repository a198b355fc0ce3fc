/** `/oauth2/logout` (OpenID Connect RP-Initiated Logout): clients redirect users here to sign them out. */
import type { FastifyReply } from 'fastify'
import type { UserSessions } from '../../accounts/user-sessions.ts'
import type { FlowCodec } from '../../oauth/authorize/flow.ts'
import type { Logout, LogoutStep } from '../../oauth/logout/logout.ts'
import type { Pair } from '../../oauth/parameters.ts'
import { redirectInterstitialPage } from '../../views/pages/redirect-interstitial.ts'
import { signOutPage } from '../../views/pages/sign-out.ts'
import { signedOutPage } from '../../views/pages/signed-out.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { LOGOUT_PATH } from '../routes.ts'
import { requireFlow } from './outcome.ts'
import { SIGNED_OUT_PATH } from './signed-out.ts'

/**
 * Browsers send no cookie with a POST from another site. The flow of such a request is bound to this constant instead of to the
 * browser, until the redirect.
 */
const ARRIVAL = 'logout-arrival'

export interface LogoutPageDeps {
  readonly logout: Logout
  readonly userSessions: Pick<UserSessions, 'end'>
  readonly flows: FlowCodec
}

export function logoutRoutes({ logout, userSessions, flows }: LogoutPageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: LOGOUT_PATH,
      async handler(request) {
        const pairs = logoutRequest(request)
        const step = await logout(pairs, request.current?.userSession ?? null)
        return step.step === 'confirm' ? confirm(request, step, pairs) : finish(request, step)
      },
    },
    {
      method: 'POST',
      path: LOGOUT_PATH,
      // §2: any site may post a request. The hint or the user decides, not the POST.
      csrf: 'none',
      async handler(request) {
        if (request.url.includes('?')) {
          throw new PageError('invalid-request', 'parameters must be in the URL or in the body, not in both')
        }
        const arrival = flows.encrypt({ arrivedAt: request.now(), logout: request.pairs }, ARRIVAL)
        if (arrival === null) throw new PageError('invalid-request', 'the request is too long')
        return request.redirect(LOGOUT_PATH, { arrival })
      },
    },
    {
      method: 'POST',
      path: `${LOGOUT_PATH}/confirm`,
      async handler(request) {
        const decision = request.form.get('decision')
        if (decision === 'stay') return request.redirect('/account')
        if (decision !== 'sign-out') throw new PageError('invalid-request')
        // Evaluated again, because the registration of the client may have changed.
        return finish(
          request,
          await logout(requireFlow(request).logout ?? [], request.current?.userSession ?? null),
        )
      },
    },
  ]

  function logoutRequest({ pairs, query }: PageRequest): readonly Pair[] {
    const text = pairs.length === 1 ? query.get('arrival') : undefined
    if (text === undefined) return pairs
    const posted = flows.decrypt(text, ARRIVAL)?.logout
    if (!posted) throw new PageError('expired')
    return posted
  }

  function confirm(
    request: PageRequest,
    { client, redirect }: LogoutStep & { readonly step: 'confirm' },
    pairs: readonly Pair[],
  ): FastifyReply {
    const flow = request.encryptFlow({ arrivedAt: request.now(), logout: pairs })
    const username = request.current?.user.username ?? ''
    const model = { clientName: client?.name ?? null, username, fields: { flow } }
    return request.html(signOutPage(model, request.pageContext()), { formTarget: redirect ?? undefined })
  }

  /** Signs the user out and redirects the browser, if the request has a valid redirect URI. */
  async function finish(request: PageRequest, step: LogoutStep): Promise<FastifyReply> {
    if (step.step !== 'not-signed-in') {
      const { userSession } = step
      await userSessions.end(userSession, 'signed out', `user:${userSession.userId}`)
    }
    request.setSession(null)
    const { redirect, client } = step
    if (redirect === null) {
      if (request.method === 'POST') return request.redirect(SIGNED_OUT_PATH)
      return request.html(signedOutPage({ back: null }, request.pageContext()))
    }
    const model = { clientName: client?.name ?? '', url: redirect }
    return request.redirectToClient(redirect, () => redirectInterstitialPage(model, request.pageContext()))
  }
}
