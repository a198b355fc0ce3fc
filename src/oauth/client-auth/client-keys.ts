/**
 * The public keys of clients that sign assertions: from their registration, or fetched from their `jwks_uri`
 * and kept. An unknown key causes a fetch, at most one per client and cool-down, so that neither a rotation at
 * the client nor a flood of made-up kids is a problem.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds, Seconds } from '../../system.ts'
import { unavailable } from '../errors.ts'

type KeyFinder = ReturnType<typeof createLocalJWKSet>

/** Fetches a JWKS document; its own time and size limits. */
export type FetchJwks = (uri: string) => Promise<JSONWebKeySet>

export interface ClientKeys {
  find(client: Client, header: JWSHeaderParameters): ReturnType<KeyFinder>
}

const COOLDOWN: Seconds = 30
const MAX_AGE: Seconds = 600
const MAX_ENTRIES = 1000

interface Entry {
  readonly find: KeyFinder | null
  readonly fetchedAt: EpochSeconds
}

export function createClientKeys({ fetchJwks, clock }: { fetchJwks: FetchJwks; clock: Clock }): ClientKeys {
  const fetched = new Map<string, Entry>()
  const fetching = new Map<string, Promise<Entry>>()

  function refetch(uri: string): Promise<Entry> {
    let running = fetching.get(uri)
    if (!running) {
      running = fetchEntry(uri).finally(() => fetching.delete(uri))
      fetching.set(uri, running)
    }
    return running
  }

  async function fetchEntry(uri: string): Promise<Entry> {
    const before = fetched.get(uri)?.find ?? null
    // What was fetched last goes on serving while the client's server is down.
    const find = await fetchJwks(uri).then(createLocalJWKSet, () => before)
    const entry = { find, fetchedAt: clock.now() }
    if (fetched.size >= MAX_ENTRIES) fetched.delete(fetched.keys().next().value as string)
    fetched.set(uri, entry)
    return entry
  }

  const age = (entry: Entry) => Math.abs(clock.now() - entry.fetchedAt)

  async function findRemote(uri: string, header: JWSHeaderParameters) {
    let entry = fetched.get(uri)
    if (!entry || (age(entry) > MAX_AGE && age(entry) > COOLDOWN)) entry = await refetch(uri)
    try {
      return await use(entry, header)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || age(entry) < COOLDOWN) throw error
      return use(await refetch(uri), header)
    }
  }

  function use(entry: Entry, header: JWSHeaderParameters) {
    if (!entry.find) throw unavailable(COOLDOWN, 'the jwks_uri of the client cannot be fetched')
    return entry.find(header)
  }

  return {
    find(client, header) {
      if (client.jwksUri) return findRemote(client.jwksUri, header)
      return createLocalJWKSet((client.jwks ?? { keys: [] }) as JSONWebKeySet)(header)
    },
  }
}
