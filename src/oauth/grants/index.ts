/**
 * The table of grants, by `grant_type`. A new grant is a file and a line below; dispatch, metadata, registration, metrics and the
 * choices of the command line follow from the keys. Must not know what a grant does.
 */
import { authorizationCode } from './authorization-code.ts'
import { clientCredentials } from './client-credentials.ts'
import type { Grant, GrantDeps } from './grant.ts'
import { password } from './password.ts'
import { refreshToken } from './refresh-token.ts'

const factories = {
  authorization_code: authorizationCode,
  client_credentials: clientCredentials,
  refresh_token: refreshToken,
  password,
} as const satisfies Record<string, (deps: GrantDeps) => Grant>

export type GrantName = keyof typeof factories

export const GRANT_NAMES = Object.keys(factories) as readonly GrantName[]

export type Grants = ReadonlyMap<string, Grant>

export function createGrants(deps: GrantDeps): Grants {
  return new Map(GRANT_NAMES.map((name) => [name, factories[name](deps)]))
}
