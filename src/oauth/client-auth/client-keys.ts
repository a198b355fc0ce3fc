/**
 * The public keys of clients that sign assertions or requests: from the registration, or fetched from the `jwks_uri` and cached.
 * The same rules limit both. An unknown `kid` causes a fetch, at most one per client in each cool-down period, so that clients can rotate
 * their keys and strangers cannot cause many fetches.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import { LRUCache } from 'lru-cache'
import { singleFlightByKey } from '../../single-flight.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds, Seconds } from '../../system.ts'
import { usableClientJwks } from '../client-registration/client-jwks.ts'
import { unavailable } from '../errors.ts'

type KeyFinder = ReturnType<typeof createLocalJWKSet>

/** Fetches a JWKS. The implementation limits time and size. */
export type FetchJwks = (uri: string) => Promise<JSONWebKeySet>

export interface ClientKeys {
  find(client: Client, header: JWSHeaderParameters): ReturnType<KeyFinder>
}

export const JWKS_COOLDOWN: Seconds = 30
export const JWKS_MAX_AGE: Seconds = 600
const MAX_ENTRIES = 1000

interface Entry {
  /** null if no fetch has succeeded yet. */
  readonly find: KeyFinder | null
  /** The error of the last fetch, if it failed. */
  readonly failure?: unknown
  readonly fetchedAt: EpochSeconds
}

export function createClientKeys({ fetchJwks, clock }: { fetchJwks: FetchJwks; clock: Clock }): ClientKeys {
  const fetched = new LRUCache<string, Entry>({ max: MAX_ENTRIES })
  const fetchOnce = singleFlightByKey<string, Entry>()
  const refetch = (uri: string): Promise<Entry> => fetchOnce(uri, () => fetchEntry(uri))

  async function fetchEntry(uri: string): Promise<Entry> {
    const previous = fetched.get(uri)?.find ?? null
    const entry: Entry = await fetchJwks(uri)
      .then((document) => {
        const usable = usableClientJwks(document) as JSONWebKeySet
        return { find: createLocalJWKSet(usable), fetchedAt: clock.now() }
      })
      // The previous document stays in use while the client's server is down or returns no valid JWKS.
      .catch((failure: unknown) => ({ find: previous, failure, fetchedAt: clock.now() }))
    fetched.set(uri, entry)
    return entry
  }

  const age = (entry: Entry) => Math.abs(clock.now() - entry.fetchedAt)

  async function findRemote(uri: string, header: JWSHeaderParameters) {
    let entry = fetched.get(uri)
    if (!entry || age(entry) > (entry.find ? JWKS_MAX_AGE : JWKS_COOLDOWN)) entry = await refetch(uri)
    try {
      return await findIn(entry, header)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || age(entry) < JWKS_COOLDOWN) throw error
      return findIn(await refetch(uri), header)
    }
  }

  function findIn(entry: Entry, header: JWSHeaderParameters) {
    // A temporary error: the request can be repeated as soon as the keys can be fetched.
    if (!entry.find)
      throw unavailable(JWKS_COOLDOWN, { detail: 'client_keys_unavailable', cause: entry.failure })
    return entry.find(header)
  }

  /** Keyed by the client object, because a changed registration is a new object. */
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
