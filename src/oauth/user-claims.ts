/**
 * The claims about a user that a client gets in ID tokens and at userinfo, by scope (OIDC Core §5.4) or by name (§5.5). Pure; must
 * not decide which scopes remain (session-rights.ts).
 */
import type { Client } from '../store/contracts/clients.ts'
import type { User } from '../store/contracts/users.ts'
import { ID_TOKEN_CLAIMS } from '../tokens/id-token.ts'

type ClaimValue = string | number | boolean | readonly string[]

export type UserClaims = { sub: string } & Record<string, ClaimValue>

type ClaimReader = (user: User) => ClaimValue | null

/** OIDC Core §5.1, and `roles`. null: the user has no such value. */
const claimReaders = {
  name: (user) => user.name || null,
  given_name: (user) => user.givenName || null,
  family_name: (user) => user.familyName || null,
  preferred_username: (user) => user.username,
  locale: (user) => user.locale || null,
  zoneinfo: (user) => user.zoneinfo || null,
  updated_at: (user) => user.updatedAt,
  email: (user) => user.email || null,
  // Meaningless without an email address.
  email_verified: (user) => (user.email ? user.emailVerified : null),
  // All of them, unlike in access tokens, where a role concerns one API.
  roles: (user) => user.roles,
} as const satisfies Record<string, ClaimReader>

type ClaimName = keyof typeof claimReaders

/** OIDC Core §5.4, and `roles`. Other scopes have no claims. */
const SCOPE_CLAIMS: Readonly<Record<string, readonly ClaimName[]>> = {
  profile: ['name', 'given_name', 'family_name', 'preferred_username', 'locale', 'zoneinfo', 'updated_at'],
  email: ['email', 'email_verified'],
  roles: ['roles'],
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

/** What the claims depend on, besides the user: how the client is registered. */
type ClaimsClient = Pick<Client, 'scopes' | 'claimsInIdToken' | 'rolesClaim'>

/** @param named the claims that the request asked for by name */
export function userInfoClaimsOf(
  user: User,
  client: ClaimsClient,
  scopes: readonly string[],
  named: readonly string[],
): UserClaims {
  const { roles, ...claims } = userClaimsOf(user, scopes, permittedClaims(named, client))
  return roles === undefined ? claims : { ...claims, [client.rolesClaim]: roles }
}

/**
 * OIDC Core §5.4 has an ID token contain the claims of the scopes only if there is no access token. But many libraries show the
 * ID token as the user and never call userinfo, so it contains them unless the client is registered otherwise.
 */
export function idTokenClaimsOf(
  user: User,
  client: ClaimsClient,
  scopes: readonly string[],
  named: readonly string[] = [],
): UserClaims {
  return userInfoClaimsOf(user, client, client.claimsInIdToken ? scopes : [], named)
}

/** Translates the names of claims in a request into those of this module: the client has its own name for `roles`. Unknown names are left out. */
export function knownClaims(names: readonly string[], { rolesClaim }: Pick<Client, 'rolesClaim'>): string[] {
  return USER_CLAIM_NAMES.filter((name) => names.includes(name === 'roles' ? rolesClaim : name))
}

const CLAIM_NAME = /^[\x21\x23-\x5B\x5D-\x7E]{1,200}$/

/**
 * Claims that have another meaning in an ID token or at userinfo (OIDC Core §2, §5.1, §5.6.2), in a token (RFC 7519 §4.1, RFC 7800
 * §3.1, RFC 8693 §4), or in JavaScript.
 */
const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  ...ID_TOKEN_CLAIMS,
  ...USER_CLAIM_NAMES.filter((name) => name !== 'roles'),
  ...[
    'nbf',
    'jti',
    'azp',
    'c_hash',
    's_hash',
    'client_id',
    'scope',
    'cnf',
    'act',
    'may_act',
    'events',
    'status',
  ],
  ...['middle_name', 'nickname', 'profile', 'picture', 'website', 'gender'],
  ...['birthdate', 'phone_number', 'phone_number_verified', 'address'],
  ...['_claim_names', '_claim_sources'],
  // Programs call these as methods of any object, also of one with claims.
  ...Object.getOwnPropertyNames(Object.prototype),
])

export function isRolesClaimName(name: string): boolean {
  return CLAIM_NAME.test(name) && !RESERVED_CLAIMS.has(name)
}
