/**
 * Gathers what `nextStep` decides by, and what the pages show about an authorization request. Changes nothing; must not
 * know what the next step is.
 */
import { ACR_MFA, ACR_PASSWORD, ACR_VALUES, satisfies } from '../../accounts/amr.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { CurrentUserSession } from '../../accounts/user-sessions.ts'
import type { Config } from '../../config/load.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { ConsentStore } from '../../store/contracts/consents.ts'
import type { Clock } from '../../system.ts'
import { invalidRequest } from '../errors.ts'
import { identifiesClient } from '../redirect-uri.ts'
import type { Registry } from '../registry.ts'
import { type Granted, resolveScopes } from '../scope.ts'
import { scopeOfClaim } from '../user-claims.ts'
import type { Flow } from './flow.ts'
import type { AuthorizationState } from './next-step.ts'
import type { AuthorizationRequest } from './request.ts'

/** For the pages: the client, and what it requests. */
export interface RequestSummary {
  readonly client: Client
  readonly request: AuthorizationRequest
  /** null as long as no user is signed in. */
  readonly granted: Granted | null
  /** What the consent page asks for: the scopes, and the scopes that claims requested by name belong to. */
  readonly scopesToShow: readonly string[]
  /** Whether the consent may be stored, so that the next request needs none. */
  readonly canStoreConsent: boolean
}

interface Assessment {
  readonly summary: RequestSummary
  readonly state: Omit<AuthorizationState, 'consentGivenNow'>
}

export interface AssessDeps {
  readonly registry: Registry
  readonly consents: Pick<ConsentStore, 'find'>
  readonly secondFactors: Pick<SecondFactors, 'summary'>
  readonly signer: Pick<Signer, 'verifyHint'>
  readonly clock: Clock
  readonly config: Pick<Config, 'defaultAudience'>
}

/** @throws {OAuthError} for the client */
export type Assess = (
  flow: Flow,
  request: AuthorizationRequest,
  current: CurrentUserSession | null,
) => Promise<Assessment>

export function createAssess(deps: AssessDeps): Assess {
  const { registry, consents, secondFactors, signer, clock, config } = deps

  return async (flow, received, current) => {
    const request = { ...received, requestedClaims: permittedClaims(received) }
    const { client, scopes, resource } = request
    const grant = (roles: readonly string[] | null) =>
      resolveScopes({ requested: scopes, resource, client, roles }, registry, config.defaultAudience)
    // First without a user: what this client can never have is refused before anyone signs in.
    const atMost = grant(null)
    const granted = current ? grant(current.user.roles) : null
    const scopesToShow = [
      ...new Set([...(granted ?? atMost).scopes, ...impliedScopes(request.requestedClaims)]),
    ]
    const summary = { client, request, granted, scopesToShow, canStoreConsent: canStoreConsent(request) }
    return {
      summary,
      state: {
        request,
        userSession: current && { userId: current.user.id, authTime: current.userSession.authTime },
        reauthenticated: isReauthenticated(flow, current),
        expectedUser: await expectedUser(request),
        secondFactor: await secondFactorOf(request, current),
        hasStoredConsent: current !== null && (await hasStoredConsent(summary, current)),
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

  async function secondFactorOf(request: AuthorizationRequest, current: CurrentUserSession | null) {
    const essential = request.essentialAcr.length > 0 && !request.essentialAcr.includes(ACR_PASSWORD)
    const required =
      request.client.requireSecondFactor ||
      essential ||
      (current !== null && registry.requiresSecondFactor(current.user.roles))
    const stepUpRequested = request.acrValues.some((acr) => isKnown(acr) && acr !== ACR_PASSWORD)
    const used = current !== null && satisfies(current.userSession.amr, ACR_MFA)
    if (!current || used || !(required || stepUpRequested))
      return { required, stepUpRequested, used, enrolled: false }
    const { totp, passkeys } = await secondFactors.summary(current.user.id)
    return { required, stepUpRequested, used, enrolled: totp || passkeys > 0 }
  }

  async function hasStoredConsent(summary: RequestSummary, { user }: CurrentUserSession) {
    const { request, canStoreConsent, scopesToShow } = summary
    // Even for a first-party client: an address that any app can take proves nothing (RFC 8252 §8.6).
    if (!canStoreConsent) return false
    if (request.client.firstParty) return true
    const consent = await consents.find(user.id, request.client.id)
    return consent !== null && scopesToShow.every((scope) => consent.scopes.includes(scope))
  }
}

const isKnown = (acr: string): boolean => (ACR_VALUES as readonly string[]).includes(acr)

/** The user authenticated in this very flow, and is still the one who is signed in. */
function isReauthenticated({ reauthenticated }: Flow, current: CurrentUserSession | null): boolean {
  return (
    reauthenticated !== undefined &&
    reauthenticated.userSessionId === current?.userSession.id &&
    reauthenticated.authTime <= current.userSession.authTime
  )
}

/**
 * RFC 6749 §10.2, RFC 8252 §8.6: a client that neither authenticates nor owns its address may be another app each time.
 */
function canStoreConsent({ client, redirectUri }: AuthorizationRequest): boolean {
  return client.authMethod !== 'none' || identifiesClient(redirectUri)
}

/** A claim requested by name needs the scope that it belongs to, or it would be a way round that scope. */
function permittedClaims({
  requestedClaims,
  client,
}: AuthorizationRequest): AuthorizationRequest['requestedClaims'] {
  const permitted = (names: readonly string[]) =>
    names.filter((name) => client.scopes.includes(scopeOfClaim(name) ?? 'openid'))
  return { idToken: permitted(requestedClaims.idToken), userinfo: permitted(requestedClaims.userinfo) }
}

function impliedScopes({ idToken, userinfo }: AuthorizationRequest['requestedClaims']): string[] {
  return [...idToken, ...userinfo].map(scopeOfClaim).filter((scope) => scope !== null)
}
