/**
 * Clients, APIs and roles in the memory of a node. Every request needs them, and they rarely change. They are reloaded when the
 * store's registry revision grows. A client that is not in memory is read from the store, so a new client works at once. Must
 * not know grants or HTTP.
 */
import { LRUCache } from 'lru-cache'
import { resourceKey } from '../resource-uri.ts'
import { singleFlight } from '../single-flight.ts'
import type { Api, ApiStore } from '../store/contracts/apis.ts'
import type { Client, ClientStore } from '../store/contracts/clients.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import type { Role, RoleStore } from '../store/contracts/roles.ts'

export interface Registry {
  /** Reads the store again if its revision has grown; called by the change poller. */
  sync(): Promise<void>
  /** null if the client does not exist. The client may come from memory, unless `fresh` is set. */
  client(id: string, options?: { readonly fresh?: boolean }): Promise<Client | null>
  /** Finds a client in memory only, without a query. null if it is not there. */
  knownClient(id: string): Client | null
  /** The API that the URI names (resource-uri.ts). */
  api(uri: string): Api | null
  /** The API that owns the scope. */
  apiOf(scope: string): Api | null
  /** All scopes of these roles. Unknown roles have none. */
  scopesOf(roles: readonly string[]): ReadonlySet<string>
  /** Whether one of these roles requires a second factor. */
  requiresSecondFactor(roles: readonly string[]): boolean
}

export interface RegistryDeps {
  readonly store: {
    readonly apis: ApiStore
    readonly clients: ClientStore
    readonly roles: RoleStore
    readonly revisions: RevisionStore
  }
}

/** How many clients are held in memory, and about how many bytes they have: a client with keys has up to a hundred times those of another. */
export const MAX_CLIENTS = 10_000
export const MAX_CLIENT_BYTES = 32 * 1024 * 1024

/** How many URIs are held in memory with the API that they name. Clients choose the URIs, so their number is bounded. */
const MAX_URIS = 1000

const createClientCache = () =>
  new LRUCache<string, Client>({
    max: MAX_CLIENTS,
    maxSize: MAX_CLIENT_BYTES,
    sizeCalculation: (client) => JSON.stringify(client).length,
  })
const createApiCache = () => new LRUCache<string, { readonly api: Api | null }>({ max: MAX_URIS })

export async function openRegistry({ store }: RegistryDeps): Promise<Registry> {
  let revision = -1
  let clients = createClientCache()
  let apis = new Map<string, Api>()
  let apisByUri = createApiCache()
  let owners = new Map<string, Api>()
  let roles = new Map<string, Role>()

  async function reload(): Promise<void> {
    const { registry } = await store.revisions.read()
    if (registry === revision) return
    const [allApis, allRoles] = await Promise.all([store.apis.list(), store.roles.list()])
    apis = new Map(allApis.map((api) => [resourceKey(api.identifier), api]))
    apisByUri = createApiCache()
    owners = new Map(allApis.flatMap((api) => api.scopes.map((scope) => [scope, api] as const)))
    roles = new Map(allRoles.map((role) => [role.name, role]))
    clients = createClientCache()
    revision = registry
  }

  const sync = singleFlight(reload)

  async function load(id: string): Promise<Client | null> {
    await sync()
    const cache = clients
    const client = await store.clients.find(id)
    if (client && cache === clients) clients.set(id, client)
    return client
  }

  await sync()
  return {
    sync,
    async client(id, { fresh = false } = {}) {
      return (fresh ? undefined : clients.get(id)) ?? load(id)
    },
    knownClient: (id) => clients.get(id) ?? null,
    api(uri) {
      const known = apisByUri.get(uri)
      if (known) return known.api
      const api = apis.get(resourceKey(uri)) ?? null
      apisByUri.set(uri, { api })
      return api
    },
    apiOf: (scope) => owners.get(scope) ?? null,
    scopesOf: (names) => new Set(names.flatMap((name) => roles.get(name)?.scopes ?? [])),
    requiresSecondFactor: (names) => names.some((name) => roles.get(name)?.requireSecondFactor),
  }
}
