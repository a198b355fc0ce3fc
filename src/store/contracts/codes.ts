import type { EpochSeconds } from '../../system.ts'
import type { Session } from './client-sessions.ts'

/** An authorization code (RFC 6749 §4.1.2), and what it is for. */
export interface AuthorizationCode {
  readonly clientId: string
  readonly signInId: string
  /** Id of the session that it begins. */
  readonly sessionId: string
  readonly userId: string
  /** As in the authorization request; null if that had none, and then the token request needs none. */
  readonly redirectUri: string | null
  /** S256 (RFC 7636 §4.2); null only for clients that may do without. */
  readonly codeChallenge: string | null
  readonly nonce: string | null
  readonly scopes: readonly string[]
  readonly audience: string
  readonly authTime: EpochSeconds
  readonly amr: readonly string[]
  /** Names of single claims that were asked for (OIDC Core §5.5). */
  readonly requestedClaims: { readonly idToken: readonly string[]; readonly userinfo: readonly string[] }
  readonly expiresAt: EpochSeconds
  /** When it was spent. */
  readonly usedAt: EpochSeconds | null
  /** Wrong code verifiers that came with it. */
  readonly pkceFailures: number
}

export interface CodeStore {
  /**
   * Issues a code, by its hash. With `pushed`, the request that was pushed is used up in the same batch.
   * False, and nothing changed, if the sign-in has ended or the pushed request was used already.
   */
  insert(hash: string, code: AuthorizationCode, now: EpochSeconds, pushed?: string): Promise<boolean>
  /** Also one that was spent or has expired, so that the caller can tell a replay. */
  find(hash: string): Promise<AuthorizationCode | null>
  /**
   * Spends the code and begins its session, both or neither. True for exactly one of any number of concurrent
   * callers; false if it was spent, has expired, was guessed at too often, or the sign-in has ended,
   * by itself or not: whoever ends all sign-ins of a person ends what these could still begin.
   */
  redeem(hash: string, session: Session, now: EpochSeconds, mostGuesses: number): Promise<boolean>
  /** Counts a wrong code verifier. */
  countPkceFailure(hash: string): Promise<void>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
