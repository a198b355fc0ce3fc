/**
 * The authorization endpoint (RFC 6749 §3.1) without HTTP: reads the request, calls `nextStep`, and returns either the next page
 * or the response to the client. Must not know HTTP, or what the pages look like.
 */
import type { CurrentUserSession } from '../../accounts/user-sessions.ts'
import type { WriteLimiter } from '../../accounts/write-limiter.ts'
import type { Audit } from '../../audit/events.ts'
import type { Config } from '../../config/load.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { AuthorizationCode, CodeConditions, CodeStore } from '../../store/contracts/codes.ts'
import type { Consent, ConsentStore } from '../../store/contracts/consents.ts'
import type { PushedRequestStore } from '../../store/contracts/pushed-requests.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import { isSameRow } from '../../store/contracts/update.ts'
import type { UserStore } from '../../store/contracts/users.ts'
import type { Random } from '../../system.ts'
import { failureFields } from '../audit-failures.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import { AUTHORIZATION_CODE_TTL } from '../lifetimes.ts'
import type { CarriedRequests } from '../par/carried-requests.ts'
import type { Pair } from '../parameters.ts'
import type { SessionRights } from '../session-rights.ts'
import { type AssessDeps, covers, createAssess, type RequestSummary } from './assess.ts'
import type { Flow } from './flow.ts'
import { hashCode } from './hash-code.ts'
import { type NextStep, nextStep } from './next-step.ts'
import { findClient, findRedirectTarget, type RedirectTarget, unknownClient } from './redirect-target.ts'
import { type AuthorizationRequest, readRequest } from './request.ts'
import type { RequestObjects } from './request-object.ts'
import { checkRequestedAcr } from './requested-acr.ts'
import { assertManner, resolveRequest } from './resolve-request.ts'
import { type AuthorizationResponse, codeFields, errorFields } from './response.ts'
import { createRespond, type SignedResponseDeps } from './signed-response.ts'

/** The request of the browser: the signed-in user, and the decision that the user has just made. */
interface AuthorizationRequestContext {
  readonly current: CurrentUserSession | null
  readonly ip: string
  readonly requestId: string
  /** Set by the consent page: the audience and scopes that it showed and the user allowed, or a denial. */
  readonly decision?: Decision
}

export type Decision =
  | {
      readonly allow: true
      readonly shown: { readonly audience: string; readonly scopes: readonly string[] }
      readonly remember: boolean
    }
  | { readonly allow: false }

export type Outcome =
  | {
      readonly step: Exclude<NextStep['step'], 'respond' | 'refuse'>
      readonly flow: Flow
      readonly summary: RequestSummary
    }
  | { readonly step: 'response'; readonly response: AuthorizationResponse; readonly clientName: string }

export interface Authorize {
  /** Starts with a new request. @throws {OAuthError} that may be shown to the user but must not be sent to the client */
  start(pairs: readonly Pair[], context: AuthorizationRequestContext): Promise<Outcome>
  /** Continues a flow after a page. @throws {OAuthError} that may be shown to the user but must not be sent to the client */
  resume(flow: Flow, context: AuthorizationRequestContext): Promise<Outcome>
}

export interface AuthorizeDeps extends AssessDeps {
  readonly signer: AssessDeps['signer'] & SignedResponseDeps['signer']
  readonly rateLimiter: SignedResponseDeps['rateLimiter']
  readonly rights: SessionRights
  readonly users: Pick<UserStore, 'find'>
  readonly codes: CodeStore
  readonly consents: ConsentStore
  readonly pushedRequests: PushedRequestStore
  readonly carriedRequests: Pick<CarriedRequests, 'decrypt'>
  readonly singleUse: Pick<SingleUseStore, 'has'>
  readonly requestObjects: RequestObjects
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly random: Random
  readonly audit: Audit
  readonly config: Pick<Config, 'issuer' | 'defaultAudience'>
}

const CODE_BYTES = 32

export function createAuthorize(deps: AuthorizeDeps): Authorize {
  const { registry, rights, users, codes, consents, clock, random, audit, config } = deps
  const assess = createAssess(deps)
  const respond = createRespond({ ...deps, issuer: config.issuer })

  return {
    async start(pairs, context) {
      const client = await findClient(registry, pairs)
      const began = { arrivedAt: clock.now(), clientRevision: client.revision }
      let resolved: Pick<Flow, 'request' | 'pushed' | 'signed'>
      try {
        resolved = await resolveRequest(deps, client, pairs)
      } catch (error) {
        if (!(error instanceof OAuthError) || !pairs.some(([name]) => name === 'redirect_uri')) throw error
        return respondWithError(findRedirectTarget(client, pairs), error, context)
      }
      return resume({ ...began, ...resolved }, context)
    },
    resume,
  }

  async function resume(flow: Flow, context: AuthorizationRequestContext): Promise<Outcome> {
    const { client, pairs } = await load(flow)
    const target = findRedirectTarget(client, pairs)
    try {
      const request = readRequest(target, pairs)
      return await advance(flow, request, context)
    } catch (error) {
      // Errors that the client did not cause, such as an unavailable store, are only shown to the user.
      if (!(error instanceof OAuthError) || error.status >= 429) throw error
      return respondWithError(target, error, context, flow)
    }
  }

  /** Loads the client and the request again at every step, because both may have changed. */
  async function load(flow: Flow): Promise<{ client: Client; pairs: readonly Pair[] }> {
    const { request, pushed, clientRevision, signed = false } = flow
    const pairs = await parametersOf(flow)
    const client = await findClient(registry, request ?? [['client_id', pushed?.clientId ?? '']])
    // The user may have been shown the name of a client that was deleted; another one with its id must not get the answer.
    if (clientRevision === undefined || !isSameRow(clientRevision, client.revision))
      throw unknownClient('changed_meanwhile')
    assertManner(client, { pushed: pushed !== undefined, signed })
    return { client, pairs }
  }

  async function parametersOf({ request, pushed }: Flow): Promise<readonly Pair[]> {
    const isCarried = pushed?.carriedUntil !== undefined
    if (isCarried && (await deps.singleUse.has(pushed.hash))) throw alreadyAnswered()
    if (request) return request
    if (!pushed) throw invalidRequest('there is no request to authorize')
    const row = await deps.pushedRequests.find(pushed.hash)
    if (!row || row.usedAt !== null) throw alreadyAnswered()
    return row.parameters
  }

  async function advance(
    flow: Flow,
    receivedRequest: AuthorizationRequest,
    context: AuthorizationRequestContext,
  ): Promise<Outcome> {
    const { current, decision } = context
    const { summary, state } = await assess(flow, receivedRequest, current)
    const { request, granted, scopesToShow, audience } = summary
    if (decision?.allow === false) {
      if (current) auditConsent('consent.denied', summary, current, context)
      throw new OAuthError('access_denied', 'the user denied the request')
    }
    const consentGivenNow =
      decision?.allow === true && covers(decision.shown, { audience, scopes: scopesToShow }, config.issuer)
    const next = nextStep({ ...state, consentGivenNow })
    if (next.step === 'refuse') throw next.error
    if (next.step !== 'respond') return { step: next.step, flow, summary }
    if (!current || !granted) throw new Error('a response needs a signed-in user')
    checkRequestedAcr(request, current.userSession.amr)
    if (consentGivenNow) await storeConsent(summary, current, context)
    return issueCode(flow, summary, { ...context, current }, consentGivenNow ? null : summary.storedConsent)
  }

  async function storeConsent(
    summary: RequestSummary,
    current: CurrentUserSession,
    context: AuthorizationRequestContext,
  ) {
    const { decision } = context
    if (decision?.allow === true && decision.remember && summary.canStoreConsent) {
      await consents.add({
        userId: current.user.id,
        clientId: summary.client.id,
        audience: summary.audience,
        scopes: summary.scopesToShow,
        grantedAt: clock.now(),
      })
    }
    auditConsent('consent.granted', summary, current, context)
  }

  async function issueCode(
    flow: Flow,
    { request }: RequestSummary,
    context: AuthorizationRequestContext & { readonly current: CurrentUserSession },
    /** The stored consent, if the consent page was not shown. */
    consent: Consent | null,
  ): Promise<Outcome> {
    const { client, scopes: requested, resource } = request
    const { userSession, user } = context.current
    const granted = rights.grant({ client, user, requested, resource, amr: userSession.amr })
    // RFC 6749 §4.1.2.1. A status below 429, so that the client gets the error and can try again.
    if (deps.writeLimiter.take('code', user.id) > 0) {
      throw new OAuthError('temporarily_unavailable', 'too many codes were issued, try again later', {
        status: 400,
      })
    }
    const now = clock.now()
    const code = `ktc_${random.bytes(CODE_BYTES).toString('base64url')}`
    const stored: AuthorizationCode = {
      clientId: client.id,
      userSessionId: userSession.id,
      clientSessionId: random.id(),
      userId: user.id,
      redirectUri: request.redirectUri,
      redirectUriSent: request.redirectUriSent,
      codeChallenge: request.codeChallenge,
      dpopJkt: request.dpopJkt,
      nonce: request.nonce ?? null,
      scopes: granted.scopes,
      audience: granted.audience,
      authTime: userSession.authTime,
      amr: userSession.amr,
      requestedClaims: request.requestedClaims,
      expiresAt: now + AUTHORIZATION_CODE_TTL,
      usedAt: null,
      revokedAt: null,
      pkceFailures: 0,
    }
    const owners = { client, user }
    const conditions = { ...singleUseOf(flow), consent: consent ?? undefined, owners }
    if (!(await codes.insert(hashCode(code), stored, now, conditions))) {
      // The client or the user was changed; or, in another tab, the pushed request was answered, the consent was withdrawn or the
      // user signed out.
      const fresh = await users.find(user.id)
      const changed = (await registry.client(client.id, { fresh: true }))?.revision !== client.revision
      await load(flow)
      const withdrawn = consent !== null && !(await consents.find(user.id, client.id, consent.audience))
      const signedIn = fresh && !fresh.disabled && (changed || withdrawn || fresh.revision !== user.revision)
      return resume(flow, { ...context, current: signedIn ? { ...context.current, user: fresh } : null })
    }
    audit('code.issued', {
      actor: `user:${user.id}`,
      client_id: client.id,
      sub: user.id,
      sid: stored.clientSessionId,
      scope: granted.scopes.join(' '),
      ip: context.ip,
      request_id: context.requestId,
    })
    const response = await respond(request, codeFields(request, code, config.issuer), {
      stranger: false,
      ip: context.ip,
    })
    return { step: 'response', response, clientName: client.name }
  }

  async function respondWithError(
    target: RedirectTarget,
    error: OAuthError,
    context: AuthorizationRequestContext,
    flow?: Flow,
  ): Promise<Outcome> {
    // An error does not mark a carried request as answered: a stranger can cause the error, and the error grants nothing.
    if (flow?.pushed && flow.pushed.carriedUntil === undefined)
      await deps.pushedRequests.consume(flow.pushed.hash, clock.now())
    audit('authorization.refused', {
      ...(context.current ? { actor: `user:${context.current.user.id}`, sub: context.current.user.id } : {}),
      client_id: target.client.id,
      ...failureFields(error),
      ip: context.ip,
      request_id: context.requestId,
    })
    const response = await respond(target, errorFields(target, error, config.issuer), {
      stranger: !context.current && !flow?.pushed,
      ip: context.ip,
    })
    return { step: 'response', response, clientName: target.client.name }
  }

  function auditConsent(
    event: 'consent.granted' | 'consent.denied',
    { client, scopesToShow }: RequestSummary,
    { user }: CurrentUserSession,
    { ip, requestId }: AuthorizationRequestContext,
  ) {
    const scope = scopesToShow.join(' ')
    const subject = { actor: `user:${user.id}`, sub: user.id, client_id: client.id }
    audit(event, { ...subject, scope, ip, request_id: requestId })
  }
}

const alreadyAnswered = () => invalidRequest('this request has already been answered')

/** The condition that a pushed request is answered only once. */
function singleUseOf({ pushed }: Flow): Pick<CodeConditions, 'pushed' | 'claim'> {
  if (!pushed) return {}
  const { hash, carriedUntil } = pushed
  return carriedUntil === undefined ? { pushed: hash } : { claim: { id: hash, until: carriedUntil } }
}
