/** What the issuer's token endpoint returns. */

/** The claims of a validated ID token (OpenID Connect Core §2). */
export interface IdTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly [claim: string]: unknown
}

export interface TokenSet {
  readonly accessToken: string
  /** Lifetime of the access token in seconds, if the issuer returns it. */
  readonly expiresIn?: number | undefined
  readonly scope?: string | undefined
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
  readonly claims?: IdTokenClaims | undefined
}
