/**
 * Authorization → the token response of RFC 6749 §5.1. The only place that issues tokens. Must not know the grants.
 */
import type { Signer } from '../keys/signer.ts'
import type { Authorization } from '../oauth/authorization.ts'
import type { StatusIndexAllocator } from '../status/status-index-allocator.ts'
import type { Clock, EpochSeconds, Random } from '../system.ts'
import { ACCESS_TOKEN_TYPE, accessTokenClaims, tokenExpiry } from './access-token.ts'
import { type TokenType, tokenTypeOf } from './confirmation.ts'
import { ID_TOKEN_TYPE, idTokenClaims } from './id-token.ts'
import type { RefreshTokenCodec } from './refresh-token.ts'

export interface TokenResponse {
  access_token: string
  token_type: TokenType
  expires_in: number
  scope?: string
  refresh_token?: string
  /** OIDC Core §3.1.3.3. */
  id_token?: string
}

interface IssuedTokens {
  readonly response: TokenResponse
  /** `jti` and `sub` are written to the audit trail. */
  readonly jti: string
  readonly sub: string
}

export type IssueTokens = (authorization: Authorization) => Promise<IssuedTokens>

export interface TokenIssuerDeps {
  readonly signer: Signer
  readonly refreshTokens: RefreshTokenCodec
  readonly clock: Clock
  readonly random: Random
  readonly issuer: string
  readonly statusIndexAllocator: Pick<StatusIndexAllocator, 'forToken'>
  /** The algorithm that the API with this identifier has chosen; null: the default. */
  readonly signingAlgOf: (audience: string) => string | null
  /** The URI of a status list, by its number. */
  readonly statusUri: (list: number) => string
}

export function createTokenIssuer(deps: TokenIssuerDeps): IssueTokens {
  const { signer, refreshTokens, clock, random, issuer, statusIndexAllocator, statusUri, signingAlgOf } = deps

  /** undefined without the scope `openid`. */
  async function signIdToken(
    { user, client, scopes }: Authorization,
    times: { readonly now: EpochSeconds; readonly exp: EpochSeconds; readonly accessToken: string },
  ): Promise<string | undefined> {
    if (!user || !scopes.includes('openid')) return undefined
    // Known before the token is signed, because `at_hash` depends on it.
    const alg = client.idTokenSigningAlg ?? (await signer.defaultAlg())
    const claims = idTokenClaims(user, { ...times, issuer, clientId: client.id, alg })
    return signer.sign(ID_TOKEN_TYPE, claims, alg)
  }

  return async (authorization) => {
    const now = clock.now()
    const exp = tokenExpiry(authorization, now)
    const index = authorization.user
      ? authorization.user.status
      : await statusIndexAllocator.forToken(authorization.client, exp)
    const status = { idx: index.idx, uri: statusUri(index.list) }
    const claims = accessTokenClaims(authorization, { issuer, now, jti: random.id(), exp, status })
    const accessToken = await signer.sign(
      ACCESS_TOKEN_TYPE,
      claims,
      signingAlgOf(authorization.audience) ?? undefined,
    )
    const idToken = await signIdToken(authorization, { now, exp, accessToken })
    const refreshParts = await authorization.commit()
    const response: TokenResponse = {
      access_token: accessToken,
      token_type: tokenTypeOf(authorization.confirmation),
      expires_in: claims.exp - now,
    }
    if (claims.scope !== undefined) response.scope = claims.scope
    if (refreshParts) response.refresh_token = refreshTokens.write(refreshParts)
    if (idToken !== undefined) response.id_token = idToken
    return { response, jti: claims.jti, sub: claims.sub }
  }
}
