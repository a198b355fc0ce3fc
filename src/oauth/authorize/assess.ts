/**
 * Collects the facts that `nextStep` needs and the summary that pages show. Changes nothing; must not know what the next step
 * is.
 */
import { ACR_MFA, satisfies } from '../../accounts/amr.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { CurrentUserSession } from '../../accounts/user-sessions.ts'
import type { Config } from '../../config/load.ts'
import type { Signer } from '../../keys/signer.ts'
import { isLoopbackHost } from '../../loopback.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Consent, ConsentStore } from '../../store/contracts/consents.ts'
import type { Clock } from '../../system.ts'
import { invalidRequest } from '../errors.ts'
import { identifiesClient } from '../redirect-uri.ts'
import type { Registry } from '../registry.ts'
import { defaultAudienceOf, type Granted, PROTOCOL_SCOPES, resolveScopes } from '../scope.ts'
import { permittedClaims, scopeOfClaim } from '../user-claims.ts'
import type { Flow } from './flow.ts'
import { hintFits } from './login-hint.ts'
import type { AuthorizationState } from './next-step.ts'
import type { AuthorizationRequest } from './request.ts'
import { checkReachableAcr, requestedLevel } from './requested-acr.ts'

/** What pages show about an authorization request. */
export interface RequestSummary {
  readonly client: Client
  readonly request: AuthorizationRequest
  /** null if no user is signed in. */
  readonly granted: Granted | null
  /** The API that the scopes belong to, or the default audience. */
  readonly audience: string
  /** The scopes on the consent page: those of the request, and those of the claims that it requests by name. */
  readonly scopesToShow: readonly string[]
  /** Whether the consent may be stored, so that later requests do not need it again. */
  readonly canStoreConsent: boolean
  /** The client expects, or hints at, somebody other than the signed-in user. */
  readonly expectsAnotherUser: boolean
  /** A stored consent that covers the audience and all scopes; null if there is none. */
  readonly storedConsent: Consent | null
}

interface Assessment {
  readonly summary: RequestSummary
  readonly state: Omit<AuthorizationState, 'consentGivenNow'>
}

export interface AssessDeps {
  readonly registry: Registry
  readonly consents: Pick<ConsentStore, 'list'>
  readonly secondFactors: Pick<SecondFactors, 'summary'>
  readonly signer: Pick<Signer, 'verifyHint'>
  readonly clock: Clock
  readonly config: Pick<Config, 'issuer' | 'defaultAudience'>
}

/** @throws {OAuthError} that is sent to the client */
export type Assess = (
  flow: Flow,
  request: AuthorizationRequest,
  current: CurrentUserSession | null,
) => Promise<Assessment>

export function createAssess(deps: AssessDeps): Assess {
  const { registry, consents, secondFactors, signer, clock, config } = deps
  // A redirect URI that any app can claim proves nothing, even of a first-party client (RFC 8252 §8.6). But an issuer on this machine
  // is for development, where its users are the developers themselves.
  const isDevelopment = isLoopbackHost(new URL(config.issuer).hostname)

  return async (flow, receivedRequest, current) => {
    const { idToken, userinfo } = receivedRequest.requestedClaims
    const requestedClaims = {
      idToken: permittedClaims(idToken, receivedRequest.client),
      userinfo: permittedClaims(userinfo, receivedRequest.client),
    }
    const request = { ...receivedRequest, requestedClaims }
    const { client, scopes, resource } = request
    const grant = (roles: readonly string[] | null) =>
      resolveScopes(
        { requested: scopes, resource, client, roles },
        registry,
        defaultAudienceOf(registry, config),
      )
    checkReachableAcr(request)
    // The scopes are first resolved without a user, so that a request which can never succeed is refused before a user signs in.
    const withoutUser = grant(null)
    const granted = current ? grant(current.user.roles) : null
    const { scopes: scopesToGrant, audience } = granted ?? withoutUser
    const scopesToShow = [...new Set([...scopesToGrant, ...impliedScopes(requestedClaims)])]
    const storable = canStoreConsent(request)
    const stored = storable && current ? await consents.list(current.user.id, client.id) : []
    const expected = await expectedUser(request)
    const hintNamesAnother = namesAnother(flow, request, current)
    const summary = {
      client,
      request,
      granted,
      audience,
      scopesToShow,
      canStoreConsent: storable,
      expectsAnotherUser:
        current !== null && (expected === undefined ? hintNamesAnother : expected !== current.user.id),
      storedConsent:
        stored.find((consent) => covers(consent, { audience, scopes: scopesToShow }, config.issuer)) ?? null,
    }
    return {
      summary,
      state: {
        request,
        userSession: current && { userId: current.user.id, authTime: current.userSession.authTime },
        reauthenticated: isReauthenticated(flow, current),
        expectedUser: expected,
        hintNamesAnother,
        secondFactor: await secondFactorOf(request, flow, current),
        hasStoredConsent:
          summary.storedConsent !== null || (client.firstParty && (storable || isDevelopment)),
        now: clock.now(),
      },
    }
  }

  async function expectedUser({ subject, idTokenHint, client }: AuthorizationRequest) {
    if (idTokenHint === undefined) return subject
    const hint = await signer.verifyHint(idTokenHint)
    if (!hint || ![hint.aud].flat().includes(client.id)) {
      const detail = hint ? 'other_client' : 'unknown_hint'
      throw invalidRequest('id_token_hint is not valid', { detail })
    }
    if (subject !== undefined && subject !== hint.sub) {
      throw invalidRequest('id_token_hint and claims name different users')
    }
    return hint.sub
  }

  async function secondFactorOf(
    request: AuthorizationRequest,
    flow: Flow,
    current: CurrentUserSession | null,
  ) {
    const level = requestedLevel(request)
    const required =
      request.client.requireSecondFactor ||
      level.secondFactorRequired ||
      (current !== null && registry.requiresSecondFactor(current.user.roles))
    const stepUpRequested = level.secondFactorPreferred
    const reached = (acr: string) => current !== null && satisfies(current.userSession.amr, acr)
    if (!current || reached(level.secondFactor) || !(required || stepUpRequested))
      return { required, stepUpRequested, used: reached(ACR_MFA), enrolled: false }
    const { totp, passkeys } = await secondFactors.summary(current.user.id)
    // A weaker factor than requested is not asked for twice: the request then fails with `unmet_authentication_requirements`.
    const canDoBetter = passkeys > 0 && !isReauthenticated(flow, current)
    const used = reached(ACR_MFA) && !canDoBetter
    return { required, stepUpRequested, used, enrolled: totp || passkeys > 0 }
  }
}

/**
 * Whether a consent covers what a request needs. Consent is for scopes at an audience. A token for the issuer can be used only at
 * this server, so consent for another audience also covers the scopes of the protocol at the issuer.
 */
export function covers(
  shown: { readonly audience: string; readonly scopes: readonly string[] },
  needed: { readonly audience: string; readonly scopes: readonly string[] },
  issuer: string,
): boolean {
  return (
    needed.scopes.every((scope) => shown.scopes.includes(scope)) &&
    (needed.audience === shown.audience ||
      (needed.audience === issuer && needed.scopes.every((scope) => PROTOCOL_SCOPES.includes(scope))))
  )
}

function namesAnother(flow: Flow, { loginHint }: AuthorizationRequest, current: CurrentUserSession | null) {
  if (loginHint === undefined || !current || flow.chosenUserSession === current.userSession.id) return false
  return !hintFits(loginHint, current.user)
}

/** Whether the signed-in user authenticated during this flow. */
function isReauthenticated({ reauthenticated }: Flow, current: CurrentUserSession | null): boolean {
  return (
    reauthenticated !== undefined &&
    reauthenticated.userSessionId === current?.userSession.id &&
    reauthenticated.authTime <= current.userSession.authTime
  )
}

/**
 * RFC 6749 §10.2, RFC 8252 §8.6: without client authentication or an https redirect URI, any app may pretend to be this
 * client.
 */
function canStoreConsent({ client, redirectUri }: AuthorizationRequest): boolean {
  return client.authMethod !== 'none' || identifiesClient(redirectUri)
}

function impliedScopes({ idToken, userinfo }: AuthorizationRequest['requestedClaims']): string[] {
  return [...idToken, ...userinfo].map(scopeOfClaim).filter((scope) => scope !== null)
}
