/**
 * Access tokens that Keyturn itself accepts, at userinfo and at the administration: of this server, not expired, active, and sent with a
 * proof of what they are bound to. Must not know which endpoint asks.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Signer } from '../keys/signer.ts'
import type { Clock } from '../system.ts'
import { ACCESS_TOKEN_TYPE, type AccessTokenClaims } from '../tokens/access-token.ts'
import { type Confirmation, proves } from '../tokens/confirmation.ts'
import type { ActiveTokens } from './active-token.ts'
import type { ProveKey } from './dpop/index.ts'
import { invalidRequest, OAuthError } from './errors.ts'
import type { ProvenRequest } from './parameters.ts'

export interface ProtectedResourceDeps {
  readonly signer: Pick<Signer, 'verify'>
  readonly activeTokens: ActiveTokens
  readonly proveKey: ProveKey
  readonly clock: Clock
  readonly issuer: string
}

type Active = Extract<Awaited<ReturnType<ActiveTokens['accessToken']>>, { active: true }>

/** An access token as it was sent. */
export interface SentToken {
  readonly scheme: 'bearer' | 'dpop'
  readonly token: string
}

/** What is known of an access token. */
type VerifiedToken = Active & { readonly claims: AccessTokenClaims }

/**
 * @param check of the audience and the scopes; throws if they are not enough. It comes before the proof of the sender is used up, because a
 * refused request uses up nothing.
 * @throws {OAuthError} invalid_token, invalid_dpop_proof, use_dpop_nonce
 */
export type VerifyAccessToken = (
  sent: SentToken,
  request: ProvenRequest,
  check: (verified: VerifiedToken) => void,
) => Promise<VerifiedToken>

export function createVerifyAccessToken(deps: ProtectedResourceDeps): VerifyAccessToken {
  const { signer, activeTokens, proveKey, clock, issuer } = deps
  return async (sent, request, check) => {
    const expected = { typ: ACCESS_TOKEN_TYPE, issuer, now: clock.now() }
    const verified = await signer.verify(sent.token, expected)
    if (!verified.valid)
      throw invalidToken(verified.problem === 'expired' ? 'token_expired' : 'unknown_token')
    const claims = verified.claims as AccessTokenClaims
    const consume = await checkSender(claims.cnf ?? null, sent, request)
    const status = await activeTokens.accessToken(claims)
    if (!status.active) throw invalidToken(status.detail)
    const found = { ...status, claims }
    check(found)
    await consume(status)
    return found
  }

  /** Returns what uses up the proof of the sender. */
  async function checkSender(
    bound: Confirmation | null,
    { scheme, token }: SentToken,
    request: ProvenRequest,
  ): Promise<(status: Active) => Promise<void>> {
    // RFC 9449 §7.2: otherwise a thief would present the token without a proof.
    if (bound?.jkt !== undefined && scheme === 'bearer') throw invalidToken('bound_token_as_bearer')
    // §7.1: the key of the proof must be the one that the token is bound to.
    if (bound?.jkt === undefined && scheme === 'dpop') throw invalidToken('token_not_bound')
    const key = scheme === 'dpop' ? await asResource(() => proveKey(request, token)) : null
    if (scheme === 'dpop' && !key)
      throw new OAuthError('invalid_dpop_proof', 'the request has no DPoP proof', {
        status: 401,
        detail: 'dpop_required',
      })
    const thumbprint = request.certificate?.thumbprint
    const proven = {
      ...(key ? { jkt: key.jkt } : {}),
      ...(thumbprint === undefined ? {} : { 'x5t#S256': thumbprint }),
    }
    // RFC 8705 §3: also for a token that is bound to a certificate.
    if (!proves(proven, bound)) throw invalidToken('sender_mismatch')
    return async ({ client, endUser }) => {
      await asResource(async () => key?.consume(client, endUser?.user.id ?? null))
    }
  }
}

/** RFC 9449 §7.1, §9: a protected resource answers 401 where the token endpoint answers 400. */
async function asResource<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof OAuthError) || error.status !== 400) throw error
    const { code, message, detail, cause } = error
    throw new OAuthError(code, message, { status: 401, detail, cause })
  }
}

export const invalidToken = (detail: FailureDetail) =>
  new OAuthError('invalid_token', 'the access token is not valid', { detail })

/** RFC 6750 §2.1, RFC 9449 §7.1. The scheme is case-insensitive (RFC 9110 §11.1). */
const SCHEME = /^(bearer|dpop)(?: +(.*))?$/i
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

/** Whether the request uses the scheme of tokens that are bound to a key, with or without a usable token. */
export const usesDpop = (authorization: string): boolean =>
  SCHEME.exec(authorization)?.[1]?.toLowerCase() === 'dpop'

/** The token of an `Authorization` header; null if it has another scheme. @throws {OAuthError} invalid_request */
export function sentTokenOf(authorization: string): SentToken | null {
  const match = SCHEME.exec(authorization)
  if (!match) return null
  const [, scheme = '', token = ''] = match
  if (!TOKEN.test(token)) throw invalidRequest('the Authorization header is malformed')
  return { scheme: scheme.toLowerCase() as SentToken['scheme'], token }
}
