import type { EpochSeconds } from '../../system.ts'
import type { ClientSession, Owners } from './client-sessions.ts'
import type { Consent } from './consents.ts'
import type { User } from './users.ts'

/** An authorization code (RFC 6749 §4.1.2) and what it grants. */
export interface AuthorizationCode {
  readonly clientId: string
  /** null once the user session was deleted. */
  readonly userSessionId: string | null
  /** Id of the client session that starts when the code is redeemed. */
  readonly clientSessionId: string
  readonly userId: string
  /** The redirect URI that the code was sent to. */
  readonly redirectUri: string
  /** Whether the authorization request had a `redirect_uri`. If not, the token request must not have one either. */
  readonly redirectUriSent: boolean
  /** S256 (RFC 7636 §4.2); null only for clients that may omit PKCE. */
  readonly codeChallenge: string | null
  /** The thumbprint of the key that a token request must prove (RFC 9449 §10). */
  readonly dpopJkt: string | null
  readonly nonce: string | null
  readonly scopes: readonly string[]
  readonly audience: string
  readonly authTime: EpochSeconds
  readonly amr: readonly string[]
  /** Claims that were requested by name (OIDC Core §5.5). */
  readonly requestedClaims: { readonly idToken: readonly string[]; readonly userinfo: readonly string[] }
  readonly expiresAt: EpochSeconds
  /** When the code was redeemed. */
  readonly usedAt: EpochSeconds | null
  /** When the code was revoked before it was used, together with the client sessions that match the same filter. */
  readonly revokedAt: EpochSeconds | null
  /** How many wrong code verifiers were presented with the code. */
  readonly pkceFailures: number
}

/** Conditions that are checked when a code is stored, so that no code is stored after one of them has ceased to hold. */
export interface CodeConditions {
  /** Hash of the pushed request that the code answers; consumed in the same batch. */
  readonly pushed?: string | undefined
  /** An identifier of the authorization request, claimed in the same batch, so that at most one code is issued for that request. */
  readonly claim?: { readonly id: string; readonly until: EpochSeconds } | undefined
  /** The stored consent that the code relies on. */
  readonly consent?: Consent | undefined
  readonly owners?: Owners | undefined
}

export interface CodeStore {
  /**
   * Stores a code under its hash. Returns false, and changes nothing, if the user session has ended or one of the conditions
   * does not hold.
   */
  insert(
    hash: string,
    code: AuthorizationCode,
    now: EpochSeconds,
    conditions?: CodeConditions,
  ): Promise<boolean>
  /** Finds used and expired codes too, so that the caller can recognize a replay. */
  find(hash: string): Promise<AuthorizationCode | null>
  /** The code and its user, as they are at one moment. */
  findWithUser(hash: string): Promise<{ readonly code: AuthorizationCode; readonly user: User } | null>
  /**
   * Consumes the code and inserts its client session, both or neither. Returns true for exactly one of any number of concurrent
   * callers. Returns false if
   * - the code was used or revoked or has expired,
   * - the client or the user is not as in `owners`,
   * - `maxPkceFailures` is reached, or
   * - the user session has ended or expired: after all sessions of a user were ended, no code can start another one.
   */
  redeem(
    hash: string,
    session: ClientSession,
    now: EpochSeconds,
    maxPkceFailures: number,
    owners?: Owners,
  ): Promise<boolean>
  /** Counts one wrong code verifier. */
  countPkceFailure(hash: string): Promise<void>
  /**
   * Deletes at most `limit` codes that expired before `before`. A used code is deleted only if its session must have ended
   * before `before`. Returns how many were deleted.
   */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
