/** `/oauth2/logout` (OpenID Connect RP-Initiated Logout): applications send people here who have signed out there. */
import type { FastifyReply } from 'fastify'
import type { LogoutStep } from '../../oauth/logout/logout.ts'
import type { Pair } from '../../oauth/parameters.ts'
import { handOverPage } from '../../views/pages/redirect-interstitial.ts'
import { signOutPage } from '../../views/pages/sign-out.ts'
import { signedOutPage } from '../../views/pages/signed-out.ts'
import type { PageRoute, Visit } from '../browser.ts'
import { PageError } from '../page-error.ts'
import { LOGOUT_PATH } from '../routes.ts'
import type { Services } from '../services.ts'
import { requireFlow } from './authorize.ts'
import { SIGNED_OUT_PATH } from './signed-out.ts'

/** As with authorization requests: what another site has posted goes on to where the cookies are sent. */
const ARRIVAL = 'logout-arrival'

export function logoutRoutes(services: Services): PageRoute[] {
  const { logout, signIns, flows } = services.people

  return [
    {
      method: 'GET',
      path: LOGOUT_PATH,
      // With a good hint it signs out.
      head: false,
      async handler(visit) {
        const pairs = arrived(visit)
        const step = await logout(pairs, visit.current?.signIn ?? null)
        return step.step === 'ask' ? ask(visit, step, pairs) : goOn(visit, step)
      },
    },
    {
      method: 'POST',
      path: LOGOUT_PATH,
      // §2: any application may ask; what is decided by it is decided by the hint, or by the person.
      csrf: 'none',
      async handler(visit) {
        if (visit.request.url.includes('?')) {
          throw new PageError('invalid-request', 'parameters belong into the URL or the body, not into both')
        }
        const arrival = flows.seal({ arrivedAt: services.now(), logout: visit.pairs }, ARRIVAL)
        if (arrival === undefined) throw new PageError('invalid-request', 'the request is too long')
        return visit.redirect(LOGOUT_PATH, { arrival })
      },
    },
    {
      method: 'POST',
      path: `${LOGOUT_PATH}/confirm`,
      async handler(visit) {
        const decision = visit.form.get('decision')
        if (decision === 'stay') return visit.redirect('/account')
        if (decision !== 'sign-out') throw new PageError('invalid-request')
        // Read once more: what it may lead to is decided now.
        return goOn(visit, await logout(requireFlow(visit).logout ?? [], visit.current?.signIn ?? null))
      },
    },
  ]

  function arrived({ pairs, query }: Visit): readonly Pair[] {
    const text = pairs.length === 1 ? query.get('arrival') : undefined
    if (text === undefined) return pairs
    const request = flows.open(text, ARRIVAL)?.logout
    if (!request) throw new PageError('expired')
    return request
  }

  function ask(
    visit: Visit,
    { client, redirect }: LogoutStep & { readonly step: 'ask' },
    request: readonly Pair[],
  ): FastifyReply {
    const flow = visit.sealFlow({ arrivedAt: services.now(), logout: request })
    const username = visit.current?.user.username ?? ''
    const model = { clientName: client?.name ?? null, username, fields: { flow } }
    return visit.html(signOutPage(model, visit.page()), { leadsTo: redirect ?? undefined })
  }

  /** Signs out whoever is signed in, and goes where it leads. */
  async function goOn(visit: Visit, step: LogoutStep): Promise<FastifyReply> {
    if (step.step !== 'gone') {
      const { signIn } = step
      await signIns.end(signIn, 'signed out', `user:${signIn.userId}`)
    }
    visit.setSession(null)
    const { redirect, client } = step
    if (redirect === null) {
      if (visit.request.method === 'POST') return visit.redirect(SIGNED_OUT_PATH)
      return visit.html(signedOutPage({ back: null }, visit.page()))
    }
    const model = { clientName: client?.name ?? '', url: redirect }
    return visit.leave(redirect, () => handOverPage(model, visit.page()))
  }
}
