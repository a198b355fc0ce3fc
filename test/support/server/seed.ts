/** What tests put into a store before they begin, through the contracts and without the command line. */
import { hashPassword } from '../../../src/accounts/password.ts'
import { EMPTY_PROFILE } from '../../../src/accounts/profile.ts'
import { generateSecret, hashGeneratedSecret } from '../../../src/oauth/client-auth/secret.ts'
import { newClient } from '../../../src/oauth/client-registration/client-defaults.ts'
import type { Api } from '../../../src/store/contracts/apis.ts'
import type { ClientSession } from '../../../src/store/contracts/client-sessions.ts'
import type { Client, ClientSecret } from '../../../src/store/contracts/clients.ts'
import type { User } from '../../../src/store/contracts/users.ts'
import type { Store } from '../../../src/store/index.ts'
import { type EpochSeconds, systemRandom } from '../../../src/system.ts'

export const ORDERS = 'https://orders.test'
export const STOCK = 'https://stock.test'

/** A secret in the form that the server generates, the same for every seeded client. */
export const SECRET = generateSecret(systemRandom)
export const PASSWORD = 'correct horse battery staple'

const DAY = 86_400

/** A secret that is stored with this hash, and does not expire. */
export const storedSecret = (hash: string, overrides: Partial<ClientSecret> = {}): ClientSecret => ({
  id: `cs_${systemRandom.id()}`,
  hash,
  createdAt: 1,
  expiresAt: null,
  addedIn: null,
  ...overrides,
})

/** The client, with the hash of its only secret. */
export const withSecretHash = (stored: Client | null) =>
  stored && { ...stored, secretHash: stored.secrets[0]?.hash ?? null }

/** @param overrides `secretHash` is short for a single secret with this hash, or null for none */
export function client({
  secretHash,
  ...overrides
}: Partial<Client> & { readonly secretHash?: string | null } = {}): Client {
  const authMethod = overrides.authMethod ?? 'client_secret_basic'
  const withSecret = authMethod === 'client_secret_basic' || authMethod === 'client_secret_post'
  const id = overrides.id ?? 'machine'
  const hash = secretHash === undefined && withSecret ? hashGeneratedSecret(SECRET) : secretHash
  const created = newClient({
    id,
    name: 'a machine',
    // The id is made from the client and the hash, so that two calls return the same client.
    secrets: hash ? [storedSecret(hash, { id: `cs_${id}_${hash}` })] : [],
    grants: ['client_credentials'],
    scopes: ['orders:read', 'orders:write'],
    createdAt: 1,
    ...overrides,
  })
  return { revision: 1, ...created }
}

export function api(overrides: Partial<Api> = {}): Api {
  return {
    identifier: ORDERS,
    name: null,
    scopes: ['orders:read', 'orders:write'],
    scopeTexts: {},
    accessTokenTtl: null,
    signingAlg: null,
    createdAt: 1,
    revision: 1,
    ...overrides,
  }
}

let hashed: Promise<string> | undefined

export async function user(overrides: Partial<User> = {}): Promise<User> {
  hashed ??= hashPassword(PASSWORD)
  return {
    id: `u_${systemRandom.id()}`,
    username: 'alice',
    ...EMPTY_PROFILE,
    passwordHash: await hashed,
    roles: ['clerk'],
    disabled: false,
    createdAt: 1,
    updatedAt: 1,
    revision: 1,
    ...overrides,
  }
}

/** A session of `app` that has just begun. */
export function session(
  now: EpochSeconds,
  overrides: Partial<ClientSession> & Pick<ClientSession, 'id' | 'userId'>,
): ClientSession {
  return {
    clientId: 'app',
    scopes: ['orders:read'],
    audience: ORDERS,
    generation: 1,
    rotatedAt: now,
    createdAt: now,
    authTime: now,
    expiresAt: now + 30 * DAY,
    idleExpiresAt: now + 7 * DAY,
    revokedAt: null,
    revokedReason: null,
    status: { list: 0, idx: 0 },
    userSessionId: null,
    amr: ['pwd'],
    userinfoClaims: [],
    offline: false,
    backchannelLogout: false,
    confirmation: null,
    boundFrom: 1,
    ...overrides,
  }
}

/**
 * Two APIs, a machine client, a first-party client for users (password and refresh), a public client with the same
 * grants, and alice, a clerk, who may read and write orders.
 */
export async function seed(store: Store): Promise<{ alice: User }> {
  await store.apis.insert(api())
  await store.apis.insert(api({ identifier: STOCK, scopes: ['stock:read'] }))
  await store.roles.insert({
    name: 'clerk',
    scopes: ['orders:read', 'orders:write'],
    requireSecondFactor: false,
    createdAt: 1,
  })
  await store.clients.insert(client())
  await store.clients.insert(client({ id: 'poster', authMethod: 'client_secret_post' }))
  await store.clients.insert(client({ id: 'app', grants: ['password', 'refresh_token'] }))
  await store.clients.insert(
    client({ id: 'phone', authMethod: 'none', grants: ['password', 'refresh_token'] }),
  )
  const alice = await user()
  await store.users.insert(alice)
  return { alice }
}
