/**
 * The public keys of clients that sign assertions or requests: from the registration, or fetched from the `jwks_uri` and cached.
 * The same rules limit both. An unknown `kid` causes a fetch, at most one per client in each cool-down period, so that clients can rotate
 * their keys and strangers cannot cause many fetches.
 */
import type { JSONWebKeySet, JWSHeaderParameters } from 'jose'
import * as errors from 'jose/errors'
import { createLocalJWKSet } from 'jose/jwks/local'
import { LRUCache } from 'lru-cache'
import { singleFlightByKey } from '../../single-flight.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds, Seconds } from '../../system.ts'
import { certificatesIn, usableClientJwks } from '../client-registration/client-jwks.ts'
import { unavailable } from '../errors.ts'

type KeyFinder = ReturnType<typeof createLocalJWKSet>

/** Fetches a JWKS. The implementation limits time and size. */
export type FetchJwks = (uri: string) => Promise<JSONWebKeySet>

export interface ClientKeys {
  find(client: Client, header: JWSHeaderParameters): ReturnType<KeyFinder>
  /** Whether a certificate, in DER and base64, is the first in the `x5c` of a key of the client. */
  hasCertificate(client: Client, certificate: string): Promise<boolean>
}

export const JWKS_COOLDOWN: Seconds = 30
export const JWKS_MAX_AGE: Seconds = 600
/** Fetched documents that are kept, and about how many bytes they have together: one with certificates can be a hundred times as large. */
export const JWKS_CACHE_LIMITS = { documents: 1000, bytes: 8 * 1024 * 1024 }
const NO_CERTIFICATES: ReadonlySet<unknown> = new Set()

interface Entry {
  /** null if no fetch has succeeded yet. */
  readonly find: KeyFinder | null
  readonly certificates: ReadonlySet<unknown>
  /** The error of the last fetch, if it failed. */
  readonly failure?: unknown
  readonly fetchedAt: EpochSeconds
  /** About how many bytes the document has. The cache requires at least 1, also if there is none. */
  readonly bytes: number
}

export function createClientKeys({ fetchJwks, clock }: { fetchJwks: FetchJwks; clock: Clock }): ClientKeys {
  const fetched = new LRUCache<string, Entry>({
    max: JWKS_CACHE_LIMITS.documents,
    maxSize: JWKS_CACHE_LIMITS.bytes,
    sizeCalculation: ({ bytes }) => bytes,
  })
  const fetchOnce = singleFlightByKey<string, Entry>()
  const refetch = (uri: string): Promise<Entry> => fetchOnce(uri, () => fetchEntry(uri))

  async function fetchEntry(uri: string): Promise<Entry> {
    const previous = fetched.get(uri)
    const entry: Entry = await fetchJwks(uri)
      .then((document) => {
        const usable = usableClientJwks(document) as JSONWebKeySet
        return {
          find: createLocalJWKSet(usable),
          certificates: certificatesIn(usable as { keys: Record<string, unknown>[] }),
          fetchedAt: clock.now(),
          bytes: JSON.stringify(usable).length,
        }
      })
      // The previous document stays in use while the client's server is down or returns no valid JWKS.
      .catch((failure: unknown) => ({
        find: previous?.find ?? null,
        certificates: previous?.certificates ?? NO_CERTIFICATES,
        failure,
        fetchedAt: clock.now(),
        bytes: previous?.bytes ?? 1,
      }))
    fetched.set(uri, entry)
    return entry
  }

  const age = (entry: Entry) => Math.abs(clock.now() - entry.fetchedAt)

  async function entryOf(uri: string): Promise<Entry> {
    const entry = fetched.get(uri)
    return !entry || age(entry) > (entry.find ? JWKS_MAX_AGE : JWKS_COOLDOWN) ? refetch(uri) : entry
  }

  async function findRemote(uri: string, header: JWSHeaderParameters) {
    const entry = await entryOf(uri)
    try {
      return await findIn(entry, header)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || age(entry) < JWKS_COOLDOWN) throw error
      return findIn(await refetch(uri), header)
    }
  }

  // A temporary error: the request can be repeated as soon as the keys can be fetched.
  const keysUnavailable = ({ failure }: Entry) =>
    unavailable(JWKS_COOLDOWN, { detail: 'client_keys_unavailable', cause: failure })

  function findIn(entry: Entry, header: JWSHeaderParameters) {
    if (!entry.find) throw keysUnavailable(entry)
    return entry.find(header)
  }

  async function hasRemoteCertificate(uri: string, certificate: string): Promise<boolean> {
    const entry = await entryOf(uri)
    if (!entry.find) throw keysUnavailable(entry)
    if (entry.certificates.has(certificate)) return true
    // The client may have a new certificate, as with an unknown `kid`.
    return age(entry) >= JWKS_COOLDOWN && (await refetch(uri)).certificates.has(certificate)
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
    async hasCertificate({ jwks, jwksUri }, certificate) {
      return jwksUri
        ? hasRemoteCertificate(jwksUri, certificate)
        : certificatesIn(jwks ?? { keys: [] }).has(certificate)
    },
  }
}
