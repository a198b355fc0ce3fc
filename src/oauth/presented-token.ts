/**
 * Reads a token that a client presents for revocation or introspection. `token_type_hint` is ignored, as RFC 7009 §2.1 allows,
 * because the form of a token shows its type.
 */
import type { Signer } from '../keys/signer.ts'
import type { Clock } from '../system.ts'
import { ACCESS_TOKEN_TYPE, type AccessTokenClaims } from '../tokens/access-token.ts'
import type { RefreshTokenCodec, RefreshTokenParts } from '../tokens/refresh-token.ts'

export type PresentedToken =
  | { readonly type: 'refresh_token'; readonly parts: RefreshTokenParts }
  | { readonly type: 'access_token'; readonly claims: AccessTokenClaims }

export interface PresentedTokenDeps {
  readonly signer: Signer
  readonly refreshTokens: RefreshTokenCodec
  readonly clock: Clock
  readonly issuer: string
}

/** null for a token that this server did not issue, or that has expired. Does not read the store. */
export async function readPresentedToken(
  deps: PresentedTokenDeps,
  token: string,
): Promise<PresentedToken | null> {
  const parts = await deps.refreshTokens.read(token)
  if (parts) return { type: 'refresh_token', parts }
  const expected = { typ: ACCESS_TOKEN_TYPE, issuer: deps.issuer, now: deps.clock.now() }
  const verified = await deps.signer.verify(token, expected)
  return verified.valid ? { type: 'access_token', claims: verified.claims as AccessTokenClaims } : null
}
