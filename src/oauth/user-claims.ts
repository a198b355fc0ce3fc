/** The claims about a user that a client gets, by scope (OIDC Core §5.4) or by name (§5.5). Pure. */
import type { User } from '../store/contracts/users.ts'

export type UserClaims = { sub: string } & Record<string, string | number | boolean>

type ClaimReader = (user: User) => string | number | boolean | null

/** OIDC Core §5.1. null: the user has no such value. */
const claimReaders = {
  name: (user) => user.name || null,
  preferred_username: (user) => user.username,
  updated_at: (user) => user.updatedAt,
  email: (user) => user.email || null,
  // Meaningless without an email address.
  email_verified: (user) => (user.email ? user.emailVerified : null),
} as const satisfies Record<string, ClaimReader>

type ClaimName = keyof typeof claimReaders

/** OIDC Core §5.4. Other scopes have no claims. */
const SCOPE_CLAIMS: Readonly<Record<string, readonly ClaimName[]>> = {
  profile: ['name', 'preferred_username', 'updated_at'],
  email: ['email', 'email_verified'],
}

/** Claims that may be requested by name; `claims_supported` of the metadata. */
export const USER_CLAIM_NAMES: readonly string[] = ['sub', ...Object.keys(claimReaders)]

/**
 * Returns `sub`, the claims of the scopes, and the claims with these names. Unknown names are ignored (§5.5), and claims
 * without a value are omitted (§5.3.2).
 */
export function userClaimsOf(
  user: User,
  scopes: readonly string[],
  names: readonly string[] = [],
): UserClaims {
  const requested = new Set([...scopes.flatMap((scope) => claimsOfScope(scope)), ...names])
  const claims: UserClaims = { sub: user.id }
  for (const [name, read] of Object.entries(claimReaders)) {
    const value = requested.has(name) ? read(user) : null
    if (value !== null) claims[name] = value
  }
  return claims
}

const claimsOfScope = (scope: string): readonly string[] =>
  Object.hasOwn(SCOPE_CLAIMS, scope) ? (SCOPE_CLAIMS[scope] ?? []) : []

/** The scope that a claim belongs to. A client without the scope must not get the claim. */
export function scopeOfClaim(name: string): string | null {
  return Object.keys(SCOPE_CLAIMS).find((scope) => claimsOfScope(scope).includes(name)) ?? null
}

/** Returns the names that the client may request. Requesting a claim by name requires the scope that the claim belongs to. */
export function permittedClaims(
  names: readonly string[],
  { scopes }: { readonly scopes: readonly string[] },
): readonly string[] {
  return names.filter((name) => scopes.includes(scopeOfClaim(name) ?? 'openid'))
}
