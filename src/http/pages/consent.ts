/** `/consent`: the user allows or denies what a client requests. */
import type { FastifyReply } from 'fastify'
import type { Macs } from '../../keys/macs.ts'
import type { RequestSummary } from '../../oauth/authorize/assess.ts'
import type { Authorize, Decision } from '../../oauth/authorize/authorize.ts'
import type { Registry } from '../../oauth/registry.ts'
import { PROTOCOL_SCOPES } from '../../oauth/scope.ts'
import { consentPage } from '../../views/pages/consent.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { requesterOf, requireFlow, showOutcome } from './outcome.ts'

export interface ConsentPageDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  readonly registry: Pick<Registry, 'apiOf'>
  /** Protects the list of scopes that the page has shown. */
  readonly formMacs: Macs
  readonly defaultAudience: string
}

export function consentRoutes(deps: ConsentPageDeps): PageRoute[] {
  const { authorize, registry, formMacs, defaultAudience } = deps
  return [
    {
      method: 'GET',
      path: '/consent',
      async handler(request) {
        const outcome = await authorize.resume(requireFlow(request), requesterOf(request))
        return outcome.step === 'consent' ? render(request, outcome.summary) : showOutcome(request, outcome)
      },
    },
    {
      method: 'POST',
      path: '/consent',
      async handler(request) {
        const decision = decisionOf(request)
        const outcome = await authorize.resume(requireFlow(request), { ...requesterOf(request), decision })
        return showOutcome(request, outcome)
      },
    },
  ]

  function render(request: PageRequest, summary: RequestSummary): FastifyReply {
    const { client, request: authorizationRequest, scopesToShow, canStoreConsent } = summary
    const { user } = request.current ?? {}
    if (!user) throw new PageError('expired')
    const flow = request.query.get('flow') ?? ''
    const text = consentPage(
      {
        clientName: client.name,
        flow,
        username: user.username,
        redirectUri: authorizationRequest.redirectUri,
        scopes: scopesToShow.filter((scope) => PROTOCOL_SCOPES.includes(scope)),
        apis: apisOf(scopesToShow.filter((scope) => !PROTOCOL_SCOPES.includes(scope))),
        canStoreConsent,
        fields: {
          shown: `${formMacs.create(shownText(request, flow, scopesToShow.join(' ')))} ${scopesToShow.join(' ')}`,
        },
      },
      request.pageContext(authorizationRequest.uiLocales),
    )
    return request.html(text, { leadsTo: authorizationRequest.redirectUri })
  }

  function apisOf(scopes: readonly string[]) {
    const byApi = Map.groupBy(scopes, (scope) => registry.apiOf(scope)?.identifier ?? defaultAudience)
    return [...byApi].map(([identifier, scopes]) => ({ identifier, scopes }))
  }

  function decisionOf(request: PageRequest): Decision {
    const { form } = request
    const decision = form.get('decision')
    if (decision === 'deny') return { allow: false }
    if (decision !== 'allow') throw new PageError('invalid-request')
    // The user allows the scopes that the page has shown, even if the request would get others by now.
    const field = form.get('shown') ?? ''
    const space = field.indexOf(' ')
    const scopes = field.slice(space + 1)
    const text = shownText(request, form.get('flow') ?? '', scopes)
    const same = formMacs.verify(text, field.slice(0, Math.max(0, space)))
    return {
      allow: true,
      scopesShown: same ? scopes.split(' ') : [],
      remember: form.get('remember') === 'yes',
    }
  }

  /** Binds the shown scopes to the browser, the user session and the flow. */
  function shownText({ browser, current }: PageRequest, flow: string, scopes: string): string {
    return JSON.stringify(['consent', browser, current?.userSession.id, flow, scopes])
  }
}
