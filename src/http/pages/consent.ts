/** `/consent`: whether somebody allows an application what it asks for. */
import type { FastifyReply } from 'fastify'
import type { RequestSummary } from '../../oauth/authorize/assess.ts'
import type { Decision } from '../../oauth/authorize/authorize.ts'
import { PROTOCOL_SCOPES } from '../../oauth/scope.ts'
import { consentPage } from '../../views/pages/consent.ts'
import type { PageRoute, Visit } from '../browser.ts'
import { PageError } from '../page-error.ts'
import type { Services } from '../services.ts'
import { askerOf, follow, requireFlow } from './authorize.ts'

export function consentRoutes(services: Services): PageRoute[] {
  const { authorize, csrf, registry } = services.people
  return [
    {
      method: 'GET',
      path: '/consent',
      async handler(visit) {
        const outcome = await authorize.resume(requireFlow(visit), askerOf(visit))
        return outcome.step === 'consent' ? render(visit, outcome.summary) : follow(services, visit, outcome)
      },
    },
    {
      method: 'POST',
      path: '/consent',
      async handler(visit) {
        const decision = decisionOf(visit)
        const outcome = await authorize.resume(requireFlow(visit), { ...askerOf(visit), decision })
        return follow(services, visit, outcome)
      },
    },
  ]

  function render(visit: Visit, summary: RequestSummary): FastifyReply {
    const { client, request, scopesToShow, canStoreConsent } = summary
    const { user } = visit.current ?? {}
    if (!user) throw new PageError('expired')
    const flow = visit.query.get('flow') ?? ''
    const text = consentPage(
      {
        clientName: client.name,
        flow,
        username: user.username,
        redirectUri: request.redirectUri,
        scopes: scopesToShow.filter((scope) => PROTOCOL_SCOPES.includes(scope)),
        apis: apisOf(scopesToShow.filter((scope) => !PROTOCOL_SCOPES.includes(scope))),
        rememberable: canStoreConsent,
        fields: {
          shown: `${csrf.write(shownText(visit, flow, scopesToShow.join(' ')))} ${scopesToShow.join(' ')}`,
        },
      },
      visit.page(request.uiLocales),
    )
    return visit.html(text, { leadsTo: request.redirectUri })
  }

  function apisOf(scopes: readonly string[]) {
    const byApi = Map.groupBy(
      scopes,
      (scope) => registry.apiOf(scope)?.identifier ?? services.config.defaultAudience,
    )
    return [...byApi].map(([identifier, scopes]) => ({ identifier, scopes }))
  }

  function decisionOf(visit: Visit): Decision {
    const { form } = visit
    const decision = form.get('decision')
    if (decision === 'refuse') return { allow: false }
    if (decision !== 'allow') throw new PageError('invalid-request')
    // What somebody allows is what they have seen, whatever the request would get by now.
    const field = form.get('shown') ?? ''
    const space = field.indexOf(' ')
    const scopes = field.slice(space + 1)
    const text = shownText(visit, form.get('flow') ?? '', scopes)
    const same = csrf.matches(text, field.slice(0, Math.max(0, space)))
    return {
      allow: true,
      scopesShown: same ? scopes.split(' ') : [],
      remember: form.get('remember') === 'yes',
    }
  }

  function shownText({ browser, current }: Visit, flow: string, scopes: string): string {
    return JSON.stringify(['consent', browser, current?.signIn.id, flow, scopes])
  }
}
