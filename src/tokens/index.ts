/**
 * Creates the token issuer, which turns an `Authorization` into tokens. Must not know grants or HTTP. A new kind of token is a
 * file beside this one; issue.ts issues it.
 */
import type { DataKeys } from '../keys/data-keys.ts'
import type { Signer } from '../keys/signer.ts'
import type { Status } from '../status/index.ts'
import type { Clock, Random } from '../system.ts'
import { createTokenIssuer, type IssueTokens, type TokenIssuerDeps } from './issue.ts'
import { createRefreshTokenCodec, type RefreshTokenCodec } from './refresh-token.ts'

export interface Tokens {
  readonly issueTokens: IssueTokens
  readonly refreshTokens: RefreshTokenCodec
}

export interface TokensDeps {
  readonly signer: Signer
  readonly dataKeys: DataKeys
  readonly status: Pick<Status, 'indices' | 'lists'>
  readonly clock: Clock
  readonly random: Random
  readonly issuer: string
  readonly signingAlgOf: TokenIssuerDeps['signingAlgOf']
}

export function createTokens(deps: TokensDeps): Tokens {
  const { signer, dataKeys, status, clock, random, issuer, signingAlgOf } = deps
  const refreshTokens = createRefreshTokenCodec(dataKeys)
  const issueTokens = createTokenIssuer({
    signer,
    refreshTokens,
    clock,
    random,
    issuer,
    signingAlgOf,
    statusIndexAllocator: status.indices,
    statusUri: status.lists.uri,
  })
  return { issueTokens, refreshTokens }
}
