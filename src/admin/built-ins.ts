/**
 * The API of the administration, its scopes, the role that grants them and the client of `keyturn login`. The server stores them
 * when it starts, like other registered things, so that grants and consent need no exception for them. Must not know the endpoints.
 */
import { isLoopbackHost } from '../loopback.ts'
import { newClient } from '../oauth/client-registration/client-defaults.ts'
import type { Store } from '../store/index.ts'
import type { Clock } from '../system.ts'
import { AdminError } from './errors.ts'

export const ADMIN_PATH = '/admin/v1'

/** What each scope allows. A scope that changes things does not include reading them. */
export const ADMIN_SCOPES = {
  'admin:read': 'See clients, APIs, roles, users, sessions, keys, verifiers and nodes',
  'admin:clients': 'Change clients, APIs and roles',
  'admin:users': 'Change users and end sessions',
  'admin:keys': 'Rotate and revoke keys, and choose the verifiers to wait for',
  'admin:audit': 'Read the audit log',
} as const

export type AdminScope = keyof typeof ADMIN_SCOPES

/** Grants all of these scopes. */
export const ADMIN_ROLE = 'keyturn-admin'

/** The public client that `keyturn login` uses for people. */
export const COMMAND_LINE_CLIENT = 'keyturn-cli'

/** The `aud` of its access tokens. */
export const adminAudience = (issuer: string): string => issuer.replace(/\/$/, '') + ADMIN_PATH

export const isAdminScope = (scope: string): scope is AdminScope => Object.hasOwn(ADMIN_SCOPES, scope)

interface BuiltInsDeps {
  readonly store: Pick<Store, 'apis' | 'roles' | 'clients'>
  readonly clock: Clock
  readonly config: { readonly issuer: string; readonly admin: boolean }
}

/**
 * Stores what is built in, or brings it up to date with the issuer. Without the administration, its API and client go, and the role
 * stays, because users may have it. With another issuer the administration is another API, so consents for the earlier one end: its users
 * agreed to what a client may do there, and the database may be a copy. A start with the same issuer changes nothing.
 * @throws {AdminError} if an API of somebody else has one of the names
 */
export async function ensureBuiltIns({ store, clock, config }: BuiltInsDeps): Promise<void> {
  const { apis, roles, clients } = store
  const scopes = Object.keys(ADMIN_SCOPES)
  const identifier = adminAudience(config.issuer)
  const createdAt = clock.now()
  const [stored] = (await apis.owners(scopes)).values()
  if (stored !== undefined && (!config.admin || stored !== identifier)) await apis.delete(stored)
  if (!config.admin) {
    await clients.delete(COMMAND_LINE_CLIENT)
    return
  }
  // Another node may have stored it in between, so the result is read again.
  await apis.insert({
    identifier,
    name: 'Keyturn administration',
    scopes,
    scopeTexts: ADMIN_SCOPES,
    accessTokenTtl: null,
    signingAlg: null,
    createdAt,
  })
  if (!(await apis.find(identifier))?.scopes.some(isAdminScope))
    throw new AdminError(
      'conflict',
      `the administration API needs the identifier ${identifier} and its scopes, and another API has one of them: change that API`,
    )
  await ensureRole(roles, scopes, config.issuer, createdAt)
  if (await clients.find(COMMAND_LINE_CLIENT)) return
  await clients.insert(
    newClient({
      id: COMMAND_LINE_CLIENT,
      name: 'Keyturn command line',
      authMethod: 'none',
      grants: ['authorization_code', 'refresh_token'],
      scopes: ['openid', ...scopes],
      // Any port of the loopback address matches (RFC 8252 §7.3).
      redirectUris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
      createdAt,
    }),
  )
}

/** Away from loopback, administrators need a second factor. */
async function ensureRole(
  roles: Store['roles'],
  scopes: readonly string[],
  issuer: string,
  createdAt: number,
): Promise<void> {
  const requireSecondFactor = !isLoopbackHost(new URL(issuer).hostname)
  const role = { name: ADMIN_ROLE, scopes, requireSecondFactor, createdAt }
  if (await roles.insert(role)) return
  await roles.update(ADMIN_ROLE, (current) =>
    current.requireSecondFactor === requireSecondFactor && current.scopes.join(' ') === scopes.join(' ')
      ? current
      : { ...current, ...role },
  )
}
