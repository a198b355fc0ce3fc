import type { Client } from '../store/contracts/clients.ts'
import type { StatusIndex } from '../store/contracts/status.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import type { RefreshTokenParts } from '../tokens/refresh-token.ts'

/** The person a token is about, and the sign-in it comes from. */
export interface SignedIn {
  readonly userId: string
  /** Names of the roles the person has now. */
  readonly roles: readonly string[]
  readonly authTime: EpochSeconds
  /** How the person proved who they are (RFC 8176). */
  readonly amr: readonly string[]
  readonly sessionId: string
  /** The session's own, which all its tokens carry. */
  readonly status: StatusIndex | null
}

export interface IdTokenRequest {
  /** As the authorization request had it; a refresh has none (OIDC Core §12.2). */
  readonly nonce: string | null
  /** What it says about the person besides who they are, because the client asked for it (OIDC Core §5.5). */
  readonly claims: Readonly<Record<string, unknown>>
}

/**
 * What a grant decides and the mint consumes: who, which client, which API, which scope, until when. A grant
 * never mints, so it cannot forget a step of minting.
 */
export interface Authorization {
  readonly client: Client
  /** null where no person is involved (RFC 6749 §4.4); the token's `sub` is then the client's id. */
  readonly user: SignedIn | null
  /** One API, or the default audience (RFC 9068 §3). */
  readonly audience: string
  readonly scopes: readonly string[]
  readonly accessTokenTtl: Seconds
  /** A token never outlives its session. */
  readonly notAfter?: EpochSeconds
  /** What only the ID token says (OIDC Core §2); it is given wherever `openid` was granted. */
  readonly idToken?: IdTokenRequest
  /**
   * Makes it true in the store: begins the session, or takes its next generation. The mint calls it last, when
   * everything is signed, so that a server that cannot sign uses up nothing that it gives nothing for.
   * Resolves with the refresh token to hand out, or null.
   * @throws {OAuthError} if somebody else was first
   */
  settle(): Promise<RefreshTokenParts | null>
}
