/** Where an authorization request stands: what `nextStep` decides by, and what pages say of it. Changes nothing. */
import { ACR_MFA, ACR_PASSWORD, ACR_VALUES, satisfies } from '../../accounts/amr.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { CurrentSignIn } from '../../accounts/user-sessions.ts'
import type { Config } from '../../config/load.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { ConsentStore } from '../../store/contracts/consents.ts'
import type { Clock } from '../../system.ts'
import { scopeOfClaim } from '../claims.ts'
import { invalidRequest } from '../errors.ts'
import { identifiesClient } from '../redirect-uri.ts'
import type { Registry } from '../registry.ts'
import { type Granted, grantScopes } from '../scope.ts'
import type { Flow } from './flow.ts'
import type { Situation } from './next-step.ts'
import type { AuthorizationRequest } from './request.ts'

/** For the pages: whom it is for, and what is asked. */
export interface About {
  readonly client: Client
  readonly request: AuthorizationRequest
  /** null as long as nobody is signed in. */
  readonly granted: Granted | null
  /** What the person is asked to allow: the scopes, and those that single claims belong to. */
  readonly shown: readonly string[]
  /** The client may be remembered to have been allowed. */
  readonly rememberable: boolean
}

export interface Assessment {
  readonly about: About
  readonly situation: Omit<Situation, 'allowed'>
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
  current: CurrentSignIn | null,
) => Promise<Assessment>

export function createAssess(deps: AssessDeps): Assess {
  const { registry, consents, secondFactors, signer, clock, config } = deps

  return async (flow, asked, current) => {
    const request = { ...asked, claims: permittedClaims(asked) }
    const { client, scopes, resource } = request
    const asking = { asked: scopes, resource, client }
    const grant = (roles: readonly string[] | null) =>
      grantScopes({ ...asking, roles }, registry, config.defaultAudience)
    // First without the person: what this client can never have is refused before anybody signs in.
    const atMost = grant(null)
    const granted = current ? grant(current.user.roles) : null
    const shown = [...new Set([...(granted ?? atMost).scopes, ...impliedScopes(request.claims)])]
    const about = { client, request, granted, shown, rememberable: isRememberable(request) }
    return {
      about,
      situation: {
        request,
        signIn: current && { userId: current.user.id, authTime: current.signIn.authTime },
        proven: isProven(flow, current),
        expectedUser: await expectedUser(request),
        secondFactor: await secondFactorOf(request, current),
        consented: current !== null && (await hasConsented(about, current)),
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
      throw invalidRequest('id_token_hint contradicts claims')
    }
    return hint.sub
  }

  async function secondFactorOf(request: AuthorizationRequest, current: CurrentSignIn | null) {
    const essential = request.essentialAcr.length > 0 && !request.essentialAcr.includes(ACR_PASSWORD)
    const required =
      request.client.requireSecondFactor ||
      essential ||
      (current !== null && registry.requiresSecondFactor(current.user.roles))
    const wished = request.acrValues.some((acr) => isKnown(acr) && acr !== ACR_PASSWORD)
    const used = current !== null && satisfies(current.signIn.amr, ACR_MFA)
    if (!current || used || !(required || wished)) return { required, wished, used, enrolled: false }
    const { totp, passkeys } = await secondFactors.summary(current.user.id)
    return { required, wished, used, enrolled: totp || passkeys > 0 }
  }

  async function hasConsented({ request, rememberable, shown }: About, { user }: CurrentSignIn) {
    // Of our own house or not: an address that anybody can take proves nothing (RFC 8252 §8.6).
    if (!rememberable) return false
    if (request.client.firstParty) return true
    const consent = await consents.find(user.id, request.client.id)
    return consent !== null && shown.every((scope) => consent.scopes.includes(scope))
  }
}

const isKnown = (acr: string): boolean => (ACR_VALUES as readonly string[]).includes(acr)

/** Somebody proved who they are in this very flow, and still is who is signed in. */
function isProven({ proven }: Flow, current: CurrentSignIn | null): boolean {
  return (
    proven !== undefined &&
    proven.signInId === current?.signIn.id &&
    proven.authTime <= current.signIn.authTime
  )
}

/** RFC 6749 §10.2, RFC 8252 §8.6: who can neither prove itself nor own its address could be anybody each time. */
function isRememberable({ client, redirectUri }: AuthorizationRequest): boolean {
  return client.authMethod !== 'none' || identifiesClient(redirectUri)
}

/** A claim by name is no way round the scope that it belongs to. */
function permittedClaims({ claims, client }: AuthorizationRequest): AuthorizationRequest['claims'] {
  const permitted = (names: readonly string[]) =>
    names.filter((name) => client.scopes.includes(scopeOfClaim(name) ?? 'openid'))
  return { idToken: permitted(claims.idToken), userinfo: permitted(claims.userinfo) }
}

function impliedScopes({ idToken, userinfo }: AuthorizationRequest['claims']): string[] {
  return [...idToken, ...userinfo].map(scopeOfClaim).filter((scope) => scope !== undefined)
}
