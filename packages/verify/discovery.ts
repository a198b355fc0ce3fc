/** Finds where the issuer publishes its keys and status lists (RFC 8414; OpenID Connect Discovery), and caches it. */
import { ConfigurationError } from './errors.ts'
import { fetchDocument, isTimeout, UnexpectedStatus } from './fetch-document.ts'
import { singleFlight } from './single-flight.ts'

export interface Discovery {
  /** @throws {ConfigurationError} if there is no metadata of this issuer; {Error} if it cannot be fetched */
  jwksUri(): Promise<string>
  /** The address of the issuer's list of status lists (Token Status List §9), if the issuer has one. @throws {Error} */
  statusListAggregation(): Promise<string | undefined>
  /** Makes the next call fetch the metadata again, because a document was not where the metadata said. */
  invalidate(): void
}

interface DiscoveryOptions {
  readonly issuer: string
  /** If this is set, no metadata is fetched for the keys. */
  readonly jwksUri: string | undefined
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number
}

interface Metadata {
  readonly issuer?: unknown
  readonly jwks_uri?: unknown
  readonly status_list_aggregation_endpoint?: unknown
}

const MAX_BYTES = 262_144
const METADATA_TTL_MS = 3_600_000

export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { issuer, monotonic } = options
  let cached: Metadata | undefined
  let expiresAt = Number.NEGATIVE_INFINITY

  const fetchMetadata = singleFlight(async () => {
    try {
      cached = await discover(options)
      expiresAt = monotonic() + METADATA_TTL_MS
    } catch (error) {
      // Addresses seldom change, so old metadata is better than none.
      if (!cached) throw error
    }
    return cached
  })

  async function metadata(): Promise<Metadata> {
    return cached && monotonic() < expiresAt ? cached : fetchMetadata()
  }

  return {
    async jwksUri() {
      if (options.jwksUri !== undefined) return options.jwksUri
      const { jwks_uri: uri } = await metadata()
      if (typeof uri !== 'string') throw new Error('the metadata has no jwks_uri')
      return requireSecure(uri, issuer)
    },

    async statusListAggregation() {
      const { status_list_aggregation_endpoint: uri } = await metadata()
      return typeof uri === 'string' ? requireSecure(uri, issuer) : undefined
    },

    invalidate() {
      expiresAt = Number.NEGATIVE_INFINITY
    },
  }
}

/** Returns the metadata from the first well-known address that has it for this issuer. */
async function discover(options: DiscoveryOptions): Promise<Metadata> {
  const { issuer } = options
  const urls = wellKnown(issuer)
  const errors: unknown[] = []
  for (const url of urls) {
    try {
      const metadata = await fetchMetadata(url, options)
      // RFC 8414 §3.3: the issuer must match exactly, or an impostor could name keys of its own.
      if (metadata?.issuer === issuer) return metadata
      throw typeof metadata?.issuer === 'string'
        ? wrongIssuer(issuer, metadata.issuer, url)
        : new Error(`${url} has no metadata of an issuer`)
    } catch (error) {
      // A server that does not answer in time would not answer at the other address either.
      if (isTimeout(error)) throw error
      errors.push(error)
    }
  }
  const mismatch = errors.find((error) => error instanceof ConfigurationError)
  if (mismatch) throw mismatch
  if (errors.every(isNotFound)) throw await notFound(urls, options)
  throw new AggregateError(errors, 'the metadata of the issuer cannot be fetched')
}

async function fetchMetadata(url: string, { fetch, timeoutMs }: DiscoveryOptions): Promise<Metadata | null> {
  const request = { fetch, timeoutMs, maxBytes: MAX_BYTES, accept: 'application/json' }
  return JSON.parse((await fetchDocument(url, request)).text) as Metadata | null
}

const isNotFound = (error: unknown): boolean => error instanceof UnexpectedStatus && error.status === 404

function wrongIssuer(configured: string, found: string, url: string): ConfigurationError {
  return new ConfigurationError(
    `the option issuer is "${configured}", but the metadata at ${url} is that of the issuer "${found}": both texts must be equal, character by character (RFC 8414 §3.3)`,
  )
}

/** The server answers, but does not know this issuer. The metadata of its bare origin may say which issuer it is. */
async function notFound(urls: readonly string[], options: DiscoveryOptions): Promise<ConfigurationError> {
  const { issuer } = options
  for (const url of wellKnown(new URL(issuer).origin)) {
    const metadata = urls.includes(url) ? null : await fetchMetadata(url, options).catch(() => null)
    if (typeof metadata?.issuer === 'string') return wrongIssuer(issuer, metadata.issuer, url)
  }
  return new ConfigurationError(
    `the option issuer is "${issuer}", but the server has no metadata of this issuer (404 at ${urls.join(' and ')}): set the option to the issuer as its metadata names it, with its path`,
  )
}

/** RFC 8414 §3.1 puts the issuer's path after the well-known part, OpenID Connect Discovery §4 before it. */
function wellKnown(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

/** Keys fetched over plain http could come from anyone, so only an issuer that itself uses http may name such URLs. */
function requireSecure(uri: string, issuer: string): string {
  const { protocol } = new URL(uri)
  if (protocol !== 'https:' && protocol !== new URL(issuer).protocol) throw new Error(`${uri} is not https`)
  return uri
}
