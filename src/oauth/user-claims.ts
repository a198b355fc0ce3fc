/** The claims about a user that a client gets: by its scopes (OIDC Core §5.4), and by name (§5.5). Pure. */
import type { User } from '../store/contracts/users.ts'

export type UserClaims = { sub: string } & Record<string, string | number | boolean>

type Reading = (user: User) => string | number | boolean | null

/** OIDC Core §5.1. null: the user has no such value. */
const readings = {
  name: (user) => user.name || null,
  preferred_username: (user) => user.username,
  updated_at: (user) => user.updatedAt,
  email: (user) => user.email || null,
  // Meaningless without an address.
  email_verified: (user) => (user.email ? user.emailVerified : null),
} as const satisfies Record<string, Reading>

type ClaimName = keyof typeof readings

/** OIDC Core §5.4; other scopes release no claims. */
const SCOPES: Readonly<Record<string, readonly ClaimName[]>> = {
  profile: ['name', 'preferred_username', 'updated_at'],
  email: ['email', 'email_verified'],
}

/** Claims that may be requested by name; `claims_supported` of the metadata. */
export const USER_CLAIM_NAMES: readonly string[] = ['sub', ...Object.keys(readings)]

/**
 * Returns `sub` and the claims that the scopes and names stand for. Unknown names are no error (§5.5), and a claim
 * without a value is omitted (§5.3.2).
 */
export function userClaimsOf(
  user: User,
  scopes: readonly string[],
  names: readonly string[] = [],
): UserClaims {
  const wanted = new Set([...scopes.flatMap((scope) => ofScope(scope)), ...names])
  const claims: UserClaims = { sub: user.id }
  for (const [name, read] of Object.entries(readings)) {
    const value = wanted.has(name) ? read(user) : null
    if (value !== null) claims[name] = value
  }
  return claims
}

const ofScope = (scope: string): readonly string[] =>
  Object.hasOwn(SCOPES, scope) ? (SCOPES[scope] ?? []) : []

/** The scope that a claim belongs to: a client that may not have the scope may not have the claim. */
export function scopeOfClaim(name: string): string | null {
  return Object.keys(SCOPES).find((scope) => ofScope(scope).includes(name)) ?? null
}

/** Of claims requested by name, those that the client may have: a name is no way around the scope that it belongs to. */
export function permittedClaims(
  names: readonly string[],
  { scopes }: { readonly scopes: readonly string[] },
): readonly string[] {
  return names.filter((name) => scopes.includes(scopeOfClaim(name) ?? 'openid'))
}
