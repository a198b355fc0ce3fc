/** `/consent`, where the user allows or denies the requested scopes. */
import type { FastifyReply } from 'fastify'
import type { Macs } from '../../keys/macs.ts'
import type { RequestSummary } from '../../oauth/authorize/assess.ts'
import type { Authorize, Decision } from '../../oauth/authorize/authorize.ts'
import type { Registry } from '../../oauth/registry.ts'
import { PROTOCOL_SCOPES } from '../../oauth/scope.ts'
import { consentPage } from '../../views/pages/consent.ts'
import type { ShownScope } from '../../views/scopes.ts'
import { CLIENT_LOGO_PATH } from '../endpoints/client-logo.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { requesterOf, requireFlow, showOutcome } from './outcome.ts'
import { shownAccess } from './shown-access.ts'

export interface ConsentPageDeps {
  readonly authorize: Pick<Authorize, 'resume'>
  /** Authenticates the audience and the scopes that the page has shown. */
  readonly formMacs: Macs
  readonly registry: Pick<Registry, 'api'>
  readonly issuer: string
}

export function consentRoutes(deps: ConsentPageDeps): PageRoute[] {
  const { authorize, formMacs, registry, issuer } = deps
  return [
    {
      method: 'GET',
      path: '/consent',
      async handler(request) {
        const outcome = await authorize.resume(requireFlow(request), requesterOf(request))
        return outcome.step === 'consent'
          ? renderPage(request, outcome.summary)
          : showOutcome(request, outcome)
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

  function renderPage(request: PageRequest, summary: RequestSummary): FastifyReply {
    const { client, request: authorizationRequest, audience, scopesToShow, canStoreConsent } = summary
    const access = shownAccess(registry, audience, scopesToShow)
    const isOfProtocol = ({ scope }: ShownScope) => PROTOCOL_SCOPES.includes(scope)
    const apiScopes = access.scopes.filter((scope) => !isOfProtocol(scope))
    const shown = [audience, ...scopesToShow].join(' ')
    const { user } = request.current ?? {}
    if (!user) throw new PageError('expired')
    const flow = request.query.get('flow') ?? ''
    const text = consentPage(
      {
        clientName: client.name,
        logoPath: client.logo === null ? null : `${CLIENT_LOGO_PATH}/${client.logo}`,
        links: { client: client.clientUri, policy: client.policyUri, terms: client.tosUri },
        flow,
        username: user.username,
        redirectUri: authorizationRequest.redirectUri,
        scopes: access.scopes.filter(isOfProtocol),
        apis: apiScopes.length > 0 ? [{ name: access.audience, scopes: apiScopes }] : [],
        // RFC 6749 §10.2: the user must see where the access can be used. A token for the issuer is used here.
        audience: apiScopes.length > 0 || audience === issuer ? undefined : access.audience,
        canStoreConsent,
        fields: { shown: `${formMacs.create(macInput(request, flow, shown))} ${shown}` },
      },
      request.pageContext(authorizationRequest.uiLocales),
    )
    return request.html(text, { formTarget: authorizationRequest.redirectUri })
  }

  function decisionOf(request: PageRequest): Decision {
    const { form } = request
    const decision = form.get('decision')
    if (decision === 'deny') return { allow: false }
    if (decision !== 'allow') throw new PageError('invalid-request')
    // The decision covers exactly the scopes that the page showed, even if the request would get others now.
    const field = form.get('shown') ?? ''
    const space = field.indexOf(' ')
    const text = field.slice(space + 1)
    const isGenuine = formMacs.verify(
      macInput(request, form.get('flow') ?? '', text),
      field.slice(0, Math.max(0, space)),
    )
    const [audience = '', ...scopes] = isGenuine ? text.split(' ') : []
    return {
      allow: true,
      shown: { audience, scopes },
      remember: form.get('remember') === 'yes',
    }
  }

  /** Binds the shown audience and scopes to the browser, the user session and the flow. */
  function macInput({ browser, current }: PageRequest, flow: string, shown: string): string {
    return JSON.stringify(['consent', browser, current?.userSession.id, flow, shown])
  }
}
