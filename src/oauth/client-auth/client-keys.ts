/**
 * The public keys of clients that sign assertions or requests: from their registration, or fetched from their `jwks_uri`
 * and cached. An unknown key causes a fetch, at most one per client and cool-down. So the client can rotate its keys, and
 * a flood of invented `kid`s causes no flood of fetches.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import { LRUCache } from 'lru-cache'
import { singleFlightByKey } from '../../single-flight.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds, Seconds } from '../../system.ts'
import { unavailable } from '../errors.ts'

type KeyFinder = ReturnType<typeof createLocalJWKSet>

/** Fetches a JWKS document, within limits of time and size. */
export type FetchJwks = (uri: string) => Promise<JSONWebKeySet>

export interface ClientKeys {
  find(client: Client, header: JWSHeaderParameters): ReturnType<KeyFinder>
}

export const JWKS_COOLDOWN: Seconds = 30
export const JWKS_MAX_AGE: Seconds = 600
const MAX_ENTRIES = 1000

interface Entry {
  /** null: it has never been fetched. */
  readonly find: KeyFinder | null
  /** Why the last fetch failed, if it did. */
  readonly failure?: unknown
  readonly fetchedAt: EpochSeconds
}

export function createClientKeys({ fetchJwks, clock }: { fetchJwks: FetchJwks; clock: Clock }): ClientKeys {
  const fetched = new LRUCache<string, Entry>({ max: MAX_ENTRIES })
  const fetchOnce = singleFlightByKey<string, Entry>()
  const refetch = (uri: string): Promise<Entry> => fetchOnce(uri, () => fetchEntry(uri))

  async function fetchEntry(uri: string): Promise<Entry> {
    const before = fetched.get(uri)?.find ?? null
    const entry: Entry = await fetchJwks(uri)
      .then((document) => ({ find: createLocalJWKSet(document), fetchedAt: clock.now() }))
      // The last good document stays in use while the client's server is down or answers nonsense.
      .catch((failure: unknown) => ({ find: before, failure, fetchedAt: clock.now() }))
    fetched.set(uri, entry)
    return entry
  }

  const age = (entry: Entry) => Math.abs(clock.now() - entry.fetchedAt)

  async function findRemote(uri: string, header: JWSHeaderParameters) {
    let entry = fetched.get(uri)
    if (!entry || age(entry) > (entry.find ? JWKS_MAX_AGE : JWKS_COOLDOWN)) entry = await refetch(uri)
    try {
      return await use(entry, header)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || age(entry) < JWKS_COOLDOWN) throw error
      return use(await refetch(uri), header)
    }
  }

  function use(entry: Entry, header: JWSHeaderParameters) {
    // Temporary: the same assertion will succeed once the keys can be fetched.
    if (!entry.find)
      throw unavailable(JWKS_COOLDOWN, { detail: 'client_keys_unavailable', cause: entry.failure })
    return entry.find(header)
  }

  /** Keyed by the object, because a changed registration is a new object. */
  const registered = new WeakMap<Client, KeyFinder>()

  function findRegistered(client: Client, header: JWSHeaderParameters) {
    let find = registered.get(client)
    if (!find) {
      find = createLocalJWKSet((client.jwks ?? { keys: [] }) as JSONWebKeySet)
      registered.set(client, find)
    }
    return find(header)
  }

  return {
    async find(client, header) {
      return client.jwksUri ? findRemote(client.jwksUri, header) : findRegistered(client, header)
    },
  }
}
