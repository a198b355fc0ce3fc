/**
 * ID tokens (OIDC Core §2), which tell the client which user signed in, when and how. No API accepts them. Claims about the user,
 * such as `email`, are in `src/oauth/user-claims.ts`. A new claim is a row of the table below; the metadata follows from it.
 */
import { createHash } from 'node:crypto'
import { acrOf } from '../accounts/amr.ts'
import { type AlgorithmName, algorithms } from '../keys/algorithms.ts'
import type { SignedInUser } from '../oauth/authorization.ts'
import type { EpochSeconds } from '../system.ts'

/** Different from the `typ` of access tokens, so that neither is accepted as the other (RFC 8725 §3.12). */
export const ID_TOKEN_TYPE = 'JWT'

interface TokenContext {
  readonly issuer: string
  readonly clientId: string
  readonly now: EpochSeconds
  readonly exp: EpochSeconds
  readonly accessToken: string
  /** The algorithm with which the ID token will be signed. */
  readonly alg: string
}

export interface IdTokenClaims {
  iss: string
  sub: string
  aud: string
  iat: EpochSeconds
  exp: EpochSeconds
  [claim: string]: unknown
}

interface ClaimSource extends TokenContext {
  readonly user: SignedInUser
  readonly nonce: string | null
}

/** OIDC Core §2, and `sid` of Back-Channel Logout §2.1. null: the token does not have the claim. */
const claimReaders = {
  iss: ({ issuer }) => issuer,
  sub: ({ user }) => user.userId,
  aud: ({ clientId }) => clientId,
  iat: ({ now }) => now,
  exp: ({ exp }) => exp,
  auth_time: ({ user }) => user.authTime,
  nonce: ({ nonce }) => nonce,
  acr: ({ user }) => acrOf(user.amr),
  amr: ({ user }) => [...user.amr],
  sid: ({ user }) => user.clientSessionId,
  at_hash: ({ accessToken, alg }) => accessTokenHash(accessToken, alg),
} as const satisfies Record<string, (source: ClaimSource) => unknown>

/** The names of the claims in the table; part of `claims_supported` of the metadata. */
export const ID_TOKEN_CLAIMS = Object.keys(claimReaders)

export function idTokenClaims(user: SignedInUser, context: TokenContext): IdTokenClaims {
  const { nonce, claims: userClaims } = user.idToken
  const source = { ...context, user, nonce }
  const claims: Record<string, unknown> = { ...userClaims }
  for (const [name, read] of Object.entries(claimReaders)) {
    const value = read(source)
    if (value !== null) claims[name] = value
  }
  return claims as IdTokenClaims
}

/** OIDC Core §3.1.3.6: the left half of the hash, with the hash function that belongs to the `alg` of the ID token. */
function accessTokenHash(accessToken: string, alg: string): string {
  const { atHash } = algorithms[alg as AlgorithmName]
  const digest = createHash(atHash).update(accessToken).digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}
