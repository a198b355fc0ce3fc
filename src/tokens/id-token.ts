/** ID tokens (OIDC Core §2), which tell the client which user signed in, when and how. No API accepts them. */
import { createHash } from 'node:crypto'
import { acrOf } from '../accounts/amr.ts'
import type { IdTokenRequest, SignedInUser } from '../oauth/authorization.ts'
import type { EpochSeconds } from '../system.ts'

/** Different from the `typ` of access tokens, so that neither is accepted as the other (RFC 8725 §3.12). */
export const ID_TOKEN_TYPE = 'JWT'

interface TokenContext {
  readonly issuer: string
  readonly clientId: string
  readonly now: EpochSeconds
  readonly exp: EpochSeconds
  readonly accessToken: string
}

export interface IdTokenClaims {
  iss: string
  sub: string
  aud: string
  iat: EpochSeconds
  exp: EpochSeconds
  [claim: string]: unknown
}

export function idTokenClaims(
  user: SignedInUser,
  { nonce, claims }: IdTokenRequest,
  { issuer, clientId, now, exp, accessToken }: TokenContext,
): IdTokenClaims {
  return {
    ...claims,
    iss: issuer,
    sub: user.userId,
    aud: clientId,
    iat: now,
    exp,
    auth_time: user.authTime,
    ...(nonce === null ? {} : { nonce }),
    acr: acrOf(user.amr),
    amr: [...user.amr],
    sid: user.clientSessionId,
    at_hash: accessTokenHash(accessToken),
  }
}

/** OIDC Core §3.1.3.6: the left half of the hash, with the hash function of `alg`; for EdDSA that is SHA-512. */
function accessTokenHash(accessToken: string): string {
  const header = JSON.parse(Buffer.from(accessToken.split('.', 1)[0] ?? '', 'base64url').toString())
  const digest = createHash(header.alg === 'EdDSA' ? 'sha512' : 'sha256')
    .update(accessToken)
    .digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}
