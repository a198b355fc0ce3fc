/**
 * What is to happen next to an authorization request: a page, or an answer. Pure: it decides, others act. Pages do
 * not know each other; each returns to the authorization endpoint, which asks here again.
 */
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { EpochSeconds } from '../../system.ts'
import { OAuthError } from '../errors.ts'
import { FRESH_LOGIN_GRACE } from '../lifetimes.ts'
import type { AuthorizationRequest } from './request.ts'

export interface Situation {
  readonly request: Pick<AuthorizationRequest, 'prompts' | 'maxAge'>
  /** null: nobody is signed in with this browser. */
  readonly signIn: { readonly userId: string; readonly authTime: EpochSeconds } | null
  /** Somebody has proven who they are since the request arrived. */
  readonly proven: boolean
  /** The person it must be about (`id_token_hint`, or `sub` in `claims`). */
  readonly expectedUser: string | undefined
  readonly secondFactor: {
    /** By the client, a role or an essential claim: without it there is no answer. */
    readonly required: boolean
    /** `acr_values`: only if it can be had (OIDC Core §3.1.2.1). */
    readonly wished: boolean
    /** The person has one. */
    readonly enrolled: boolean
    /** It was used for this sign-in. */
    readonly used: boolean
  }
  /** What the person has decided before, or need not decide. */
  readonly consented: boolean
  /** The person has just said yes to this very request. */
  readonly allowed: boolean
  readonly now: EpochSeconds
}

export type NextStep =
  | { readonly step: 'login' }
  | { readonly step: 'second-factor' }
  /** The person has no second factor yet, and needs one. */
  | { readonly step: 'enrol' }
  | { readonly step: 'consent' }
  | { readonly step: 'respond' }
  | { readonly step: 'refuse'; readonly error: OAuthError }

export function nextStep(situation: Situation): NextStep {
  const { request, signIn, proven, consented, allowed } = situation
  const silent = request.prompts.has('none')
  const login = (detail: FailureDetail): NextStep =>
    silent ? refuse('login_required', 'the user must sign in', detail) : { step: 'login' }

  if (!signIn) return login('not_signed_in')
  if (isTooOld(situation)) return login('sign_in_too_old')
  if (situation.expectedUser !== undefined && situation.expectedUser !== signIn.userId) {
    // OIDC Core §3.1.2.2: no success for another person, who has just signed in instead.
    return proven ? refuse('login_required', 'another user has signed in', 'other_user') : login('other_user')
  }
  if (asksForLogin(request.prompts) && !proven) return { step: 'login' }

  const factor = missingFactor(situation)
  if (factor) {
    if (!silent) return { step: factor }
    const code = factor === 'enrol' ? 'interaction_required' : 'login_required'
    return refuse(code, 'a second factor is needed', 'second_factor_required')
  }
  if (allowed) return { step: 'respond' }
  if (consented && !request.prompts.has('consent')) return { step: 'respond' }
  return silent ? refuse('consent_required', 'the user must be asked') : { step: 'consent' }
}

/** OIDC Core §3.1.2.1: `max_age`; whoever has just signed in for this request is not asked again. */
function isTooOld({ request, signIn, proven, now }: Situation): boolean {
  if (!signIn || request.maxAge === undefined) return false
  const age = now - signIn.authTime
  if (proven) return age > Math.max(request.maxAge, FRESH_LOGIN_GRACE)
  return request.maxAge === 0 || age > request.maxAge
}

function asksForLogin(prompts: AuthorizationRequest['prompts']): boolean {
  return prompts.has('login') || prompts.has('select_account')
}

function missingFactor({ secondFactor }: Situation): 'second-factor' | 'enrol' | null {
  const { required, wished, enrolled, used } = secondFactor
  if (used) return null
  if (enrolled && (required || wished)) return 'second-factor'
  return required ? 'enrol' : null
}

function refuse(
  code: 'login_required' | 'consent_required' | 'interaction_required',
  message: string,
  detail?: FailureDetail,
): NextStep {
  return { step: 'refuse', error: new OAuthError(code, message, { detail }) }
}
