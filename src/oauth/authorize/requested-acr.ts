/**
 * The levels of authentication that a client requests with `acr_values` (OIDC Core §3.1.2.1, RFC 9470 §4) or as an essential claim
 * (OIDC Core §5.5.1.1). Pure.
 */
import { ACR_MFA, ACR_PASSWORD, ACR_PHISHING_RESISTANT, ACR_VALUES, satisfies } from '../../accounts/amr.ts'
import { OAuthError } from '../errors.ts'
import type { AuthorizationRequest } from './request.ts'

type Requested = Pick<AuthorizationRequest, 'acrValues' | 'essentialAcr'>

export interface RequestedLevel {
  /** Whether a password alone is not enough. */
  readonly secondFactorRequired: boolean
  /** Whether a second factor is preferred, although a password is enough. */
  readonly secondFactorPreferred: boolean
  /** The level that a second factor must reach. */
  readonly secondFactor: typeof ACR_MFA | typeof ACR_PHISHING_RESISTANT
}

const isKnown = (acr: string): boolean => (ACR_VALUES as readonly string[]).includes(acr)

/**
 * Values of `acr_values` that this server does not know are ignored, because OIDC Core makes them voluntary. Known values must be reached,
 * as RFC 9470 §5 recommends: with a token of a lower level, the client would get the same challenge from its API again.
 */
function alternatives({ essentialAcr, acrValues }: Requested): (readonly string[])[] {
  return [essentialAcr, acrValues.filter(isKnown)].filter((values) => values.length > 0)
}

export function requestedLevel(request: Requested): RequestedLevel {
  const lists = alternatives(request)
  const onlyPhishingResistant = (values: readonly string[]) =>
    values.filter(isKnown).every((acr) => acr === ACR_PHISHING_RESISTANT)
  return {
    secondFactorRequired: lists.some((values) => !values.includes(ACR_PASSWORD)),
    secondFactorPreferred: request.acrValues.some((acr) => isKnown(acr) && acr !== ACR_PASSWORD),
    secondFactor: lists.some((values) => values.some(isKnown) && onlyPhishingResistant(values))
      ? ACR_PHISHING_RESISTANT
      : ACR_MFA,
  }
}

/**
 * Refuses a request that no user can satisfy, before one signs in or sets up a second factor.
 * @throws {OAuthError} unmet_authentication_requirements
 */
export function checkReachableAcr({ essentialAcr }: Requested): void {
  if (essentialAcr.length > 0 && !essentialAcr.some(isKnown)) throw unmet()
}

/** @throws {OAuthError} unmet_authentication_requirements (OIDC Core §5.5.1.1, RFC 9470 §5) */
export function checkRequestedAcr(request: Requested, amr: readonly string[]): void {
  if (alternatives(request).every((values) => values.some((acr) => satisfies(amr, acr)))) return
  throw unmet()
}

const unmet = () =>
  new OAuthError('unmet_authentication_requirements', 'the user cannot authenticate in the required way')
