/**
 * Decides the next step of an authorization request: a page, or a response to the client. Pure. Pages do not know each other:
 * each returns to the authorization endpoint, which calls this function again.
 */
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { EpochSeconds } from '../../system.ts'
import { OAuthError } from '../errors.ts'
import { FRESH_LOGIN_GRACE } from '../lifetimes.ts'
import type { AuthorizationRequest } from './request.ts'

export interface AuthorizationState {
  readonly request: Pick<AuthorizationRequest, 'prompts' | 'maxAge'>
  /** null: no user is signed in with this browser. */
  readonly userSession: { readonly userId: string; readonly authTime: EpochSeconds } | null
  /** The user has authenticated since the request arrived. */
  readonly reauthenticated: boolean
  /** The user that the client expects (`id_token_hint`, or `sub` in `claims`). */
  readonly expectedUser: string | undefined
  /** `login_hint` names somebody other than the signed-in user, who has not chosen to continue. */
  readonly hintNamesAnother: boolean
  readonly secondFactor: {
    /** The client, a role, an essential `acr` claim or `acr_values` requires a second factor. */
    readonly required: boolean
    /** `acr_values` prefers it to a password, which counts only if the user has a second factor (OIDC Core §3.1.2.1). */
    readonly stepUpRequested: boolean
    /** The user has set up a second factor. */
    readonly enrolled: boolean
    /** The user has used a second factor in this user session, and has none that reaches a requested level better. */
    readonly used: boolean
  }
  /** The user has allowed these scopes before, or the client does not need consent. */
  readonly hasStoredConsent: boolean
  /** The user has just allowed this request. */
  readonly consentGivenNow: boolean
  readonly now: EpochSeconds
}

export type NextStep =
  | { readonly step: 'login' }
  /** The user says whether to continue or to sign in as somebody else. */
  | { readonly step: 'choose-account' }
  | { readonly step: 'second-factor' }
  /** The user needs a second factor and has none. */
  | { readonly step: 'enrol' }
  | { readonly step: 'consent' }
  | { readonly step: 'respond' }
  | { readonly step: 'refuse'; readonly error: OAuthError }

export function nextStep(state: AuthorizationState): NextStep {
  const { request, userSession, reauthenticated, hasStoredConsent, consentGivenNow } = state
  const silent = request.prompts.has('none')
  const login = (detail: FailureDetail): NextStep =>
    silent ? refuse('login_required', 'the user must sign in', detail) : { step: 'login' }

  if (!userSession) return login('not_signed_in')
  if (isTooOld(state)) return login('sign_in_too_old')
  if (state.expectedUser !== undefined && state.expectedUser !== userSession.userId) {
    // OIDC Core §3.1.2.2: the request must not succeed for a user other than the expected one.
    return reauthenticated
      ? refuse('login_required', 'another user has signed in', 'other_user')
      : login('other_user')
  }
  if (asksForLogin(request.prompts) && !reauthenticated) return { step: 'login' }
  // A user who has signed in for this request has chosen. An ID token or `sub` says more than a hint.
  const isAmbiguous = state.hintNamesAnother && !reauthenticated && state.expectedUser === undefined
  if (isAmbiguous && !silent) return { step: 'choose-account' }

  const factor = missingFactor(state)
  if (factor) {
    if (!silent) return { step: factor }
    const code = factor === 'enrol' ? 'interaction_required' : 'login_required'
    return refuse(code, 'a second factor is needed', 'second_factor_required')
  }
  const consented = consentGivenNow || (hasStoredConsent && !request.prompts.has('consent'))
  if (!consented)
    return silent ? refuse('consent_required', 'the user must give consent') : { step: 'consent' }
  // OIDC Core §3.1.2.6. The last check of a silent request: otherwise a client could find out who is signed in without consent.
  if (isAmbiguous) return login('other_user')
  return { step: 'respond' }
}

/** OIDC Core §3.1.2.1, `max_age`. A user who has just authenticated for this request is not asked again. */
function isTooOld({ request, userSession, reauthenticated, now }: AuthorizationState): boolean {
  if (!userSession || request.maxAge === undefined) return false
  const age = now - userSession.authTime
  if (reauthenticated) return age > Math.max(request.maxAge, FRESH_LOGIN_GRACE)
  return request.maxAge === 0 || age > request.maxAge
}

function asksForLogin(prompts: AuthorizationRequest['prompts']): boolean {
  return prompts.has('login') || prompts.has('select_account')
}

function missingFactor({ secondFactor }: AuthorizationState): 'second-factor' | 'enrol' | null {
  const { required, stepUpRequested, enrolled, used } = secondFactor
  if (used) return null
  if (enrolled && (required || stepUpRequested)) return 'second-factor'
  return required ? 'enrol' : null
}

function refuse(
  code: 'login_required' | 'consent_required' | 'interaction_required',
  message: string,
  detail?: FailureDetail,
): NextStep {
  return { step: 'refuse', error: new OAuthError(code, message, { detail }) }
}
