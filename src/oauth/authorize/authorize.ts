/**
 * The authorization endpoint's work: reads the request, asks `nextStep`, and either names the page that is next or
 * answers the client. Must not know HTTP, or what the pages look like.
 */
import { satisfies } from '../../accounts/amr.ts'
import type { CurrentSignIn } from '../../accounts/user-sessions.ts'
import type { Audit } from '../../audit/events.ts'
import type { Config } from '../../config/load.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { AuthorizationCode, CodeStore } from '../../store/contracts/codes.ts'
import type { ConsentStore } from '../../store/contracts/consents.ts'
import type { PushedRequestStore } from '../../store/contracts/pushed-requests.ts'
import type { Random } from '../../system.ts'
import { failureFields } from '../audit-failures.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import { AUTHORIZATION_CODE_TTL } from '../lifetimes.ts'
import type { Pair } from '../parameters.ts'
import type { Granted } from '../scope.ts'
import { type About, type AssessDeps, createAssess } from './assess.ts'
import type { Flow } from './flow.ts'
import { hashCode } from './hash-code.ts'
import { type NextStep, nextStep } from './next-step.ts'
import { findClient, findRecipient, type Recipient } from './redirect-target.ts'
import { type AuthorizationRequest, readRequest } from './request.ts'
import type { RequestObjects } from './request-object.ts'
import { unpack } from './resolve-request.ts'
import { type AuthorizationResponse, codeResponse, errorResponse } from './response.ts'

/** Who is at the browser, and what they have just done. */
export interface Visit {
  readonly current: CurrentSignIn | null
  readonly ip: string
  readonly requestId: string
  /** Set by the consent page: the scopes that were shown and allowed, or that the person refused. */
  readonly decision?: Decision
}

export type Decision =
  | { readonly allow: true; readonly shown: readonly string[]; readonly remember: boolean }
  | { readonly allow: false }

export type Outcome =
  | {
      readonly step: Exclude<NextStep['step'], 'respond' | 'refuse'>
      readonly flow: Flow
      readonly about: About
    }
  | { readonly step: 'answer'; readonly response: AuthorizationResponse; readonly clientName: string }

export interface Authorize {
  /** A request that has just arrived. @throws {OAuthError} for a page */
  start(pairs: readonly Pair[], visit: Visit): Promise<Outcome>
  /** A flow that comes back from a page. @throws {OAuthError} for a page */
  resume(flow: Flow, visit: Visit): Promise<Outcome>
}

export interface AuthorizeDeps extends AssessDeps {
  readonly codes: CodeStore
  readonly consents: ConsentStore
  readonly pushedRequests: PushedRequestStore
  readonly requestObjects: RequestObjects
  readonly random: Random
  readonly audit: Audit
  readonly config: Pick<Config, 'issuer' | 'defaultAudience'>
}

const CODE_BYTES = 32

export function createAuthorize(deps: AuthorizeDeps): Authorize {
  const { registry, codes, consents, clock, random, audit, config } = deps
  const assess = createAssess(deps)

  return {
    async start(pairs, visit) {
      const client = await findClient(registry, pairs)
      const arrivedAt = clock.now()
      let carried: Pick<Flow, 'request' | 'pushed'>
      try {
        carried = await unpack(deps, client, pairs)
      } catch (error) {
        if (!(error instanceof OAuthError) || !pairs.some(([name]) => name === 'redirect_uri')) throw error
        return refuse(findRecipient(client, pairs), error, visit)
      }
      return resume({ arrivedAt, ...carried }, visit)
    },
    resume,
  }

  async function resume(flow: Flow, visit: Visit): Promise<Outcome> {
    const { client, pairs } = await load(flow)
    const recipient = findRecipient(client, pairs)
    try {
      const request = readRequest(recipient, pairs)
      return await advance(flow, request, visit)
    } catch (error) {
      // What is not the client's business, such as a store that is away, is for a page.
      if (!(error instanceof OAuthError) || error.status >= 429) throw error
      return refuse(recipient, error, visit, flow)
    }
  }

  /** Anew at every step: what was disabled or changed meanwhile counts. */
  async function load({ request, pushed }: Flow): Promise<{ client: Client; pairs: readonly Pair[] }> {
    if (request) return { client: await findClient(registry, request), pairs: request }
    if (!pushed) throw invalidRequest('there is nothing to authorize')
    const row = await deps.pushedRequests.find(pushed.hash)
    if (!row || row.usedAt !== null) throw invalidRequest('this request was answered already')
    return {
      client: await findClient(registry, [['client_id', pushed.clientId]]),
      pairs: row.parameters,
    }
  }

  async function advance(flow: Flow, asked: AuthorizationRequest, visit: Visit): Promise<Outcome> {
    const { current, decision } = visit
    const { about, situation } = await assess(flow, asked, current)
    const { request, granted, shown } = about
    if (decision?.allow === false) {
      if (current) record('consent.refused', about, current, visit)
      throw new OAuthError('access_denied', 'the user has refused')
    }
    const allowed = decision?.allow === true && shown.every((scope) => decision.shown.includes(scope))
    const next = nextStep({ ...situation, allowed })
    if (next.step === 'refuse') throw next.error
    if (next.step !== 'respond') return { step: next.step, flow, about }
    if (!current || !granted) throw new Error('an answer needs somebody signed in')
    checkEssentialAcr(request, current)
    if (allowed) await remember(about, current, visit)
    return issue(flow, request, { ...visit, current }, granted)
  }

  async function remember(about: About, current: CurrentSignIn, visit: Visit) {
    const { decision } = visit
    if (decision?.allow === true && decision.remember && about.rememberable) {
      await consents.remember({
        userId: current.user.id,
        clientId: about.client.id,
        scopes: about.shown,
        grantedAt: clock.now(),
      })
    }
    record('consent.given', about, current, visit)
  }

  async function issue(
    flow: Flow,
    request: AuthorizationRequest,
    visit: Visit & { readonly current: CurrentSignIn },
    granted: Granted,
  ): Promise<Outcome> {
    const { client } = request
    const { signIn, user } = visit.current
    const now = clock.now()
    const code = `ktc_${random.bytes(CODE_BYTES).toString('base64url')}`
    const stored: AuthorizationCode = {
      clientId: client.id,
      signInId: signIn.id,
      sessionId: random.id(),
      userId: user.id,
      redirectUri: request.redirectUriSent ? request.redirectUri : null,
      codeChallenge: request.codeChallenge,
      nonce: request.nonce ?? null,
      scopes: granted.scopes,
      audience: granted.audience,
      authTime: signIn.authTime,
      amr: signIn.amr,
      claims: request.claims,
      expiresAt: now + AUTHORIZATION_CODE_TTL,
      usedAt: null,
      wrongGuesses: 0,
    }
    if (!(await codes.insert(hashCode(code), stored, now, flow.pushed?.hash))) {
      // Either the person has signed out meanwhile, in another tab, or the pushed request was answered there.
      await load(flow)
      return resume(flow, { ...visit, current: null })
    }
    audit('code.issued', {
      actor: `user:${user.id}`,
      client_id: client.id,
      sub: user.id,
      sid: stored.sessionId,
      scope: granted.scopes.join(' '),
      ip: visit.ip,
      request_id: visit.requestId,
    })
    return { step: 'answer', response: codeResponse(request, code, config.issuer), clientName: client.name }
  }

  async function refuse(
    recipient: Recipient,
    error: OAuthError,
    visit: Visit,
    flow?: Flow,
  ): Promise<Outcome> {
    if (flow?.pushed) await deps.pushedRequests.consume(flow.pushed.hash, clock.now())
    audit('authorization.refused', {
      ...(visit.current ? { actor: `user:${visit.current.user.id}`, sub: visit.current.user.id } : {}),
      client_id: recipient.client.id,
      ...failureFields(error),
      ip: visit.ip,
      request_id: visit.requestId,
    })
    const response = errorResponse(recipient, error, config.issuer)
    return { step: 'answer', response, clientName: recipient.client.name }
  }

  function record(
    event: 'consent.given' | 'consent.refused',
    { client, shown }: About,
    { user }: CurrentSignIn,
    { ip, requestId }: Visit,
  ) {
    const scope = shown.join(' ')
    const who = { actor: `user:${user.id}`, sub: user.id, client_id: client.id }
    audit(event, { ...who, scope, ip, request_id: requestId })
  }
}

/** OIDC Core §5.5.1.1. */
function checkEssentialAcr({ essentialAcr }: AuthorizationRequest, { signIn }: CurrentSignIn): void {
  if (essentialAcr.length === 0 || essentialAcr.some((acr) => satisfies(signIn.amr, acr))) return
  throw new OAuthError('unmet_authentication_requirements', 'the person cannot sign in as is required')
}
