/** Where the issuer keeps its keys and lists (RFC 8414; OpenID Connect Discovery), asked rarely and kept. */
import { fetchDocument, isTimeout } from './fetch-document.ts'

export interface Discovery {
  /** @throws {Error} if the metadata cannot be had, or is not this issuer's */
  jwksUri(): Promise<string>
  /** Where the issuer lists its status lists (Token Status List §9), if it has any. @throws {Error} */
  statusLists(): Promise<string | undefined>
  /** What was there is there no more: asks again before the next answer. */
  doubt(): void
}

export interface DiscoveryOptions {
  readonly issuer: string
  /** Known already: nothing is asked. */
  readonly jwksUri: string | undefined
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Milliseconds, monotonic. */
  readonly monotonic: () => number
}

interface Metadata {
  readonly issuer?: unknown
  readonly jwks_uri?: unknown
  readonly status_list_aggregation_endpoint?: unknown
}

const MAX_BYTES = 262_144
const KEPT_MS = 3_600_000

export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { issuer, monotonic } = options
  let known: Metadata | undefined
  let askAgainAt = Number.NEGATIVE_INFINITY
  let asking: Promise<Metadata> | undefined

  async function ask(): Promise<Metadata> {
    try {
      known = await discover(options)
      askAgainAt = monotonic() + KEPT_MS
    } catch (error) {
      // The places seldom change: what was true before is better than nothing.
      if (!known) throw error
    }
    return known
  }

  async function metadata(): Promise<Metadata> {
    if (known && monotonic() < askAgainAt) return known
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }

  return {
    async jwksUri() {
      if (options.jwksUri !== undefined) return options.jwksUri
      const { jwks_uri: uri } = await metadata()
      if (typeof uri !== 'string') throw new Error('the metadata has no jwks_uri')
      return secure(uri, issuer)
    },

    async statusLists() {
      const { status_list_aggregation_endpoint: uri } = await metadata()
      return typeof uri === 'string' ? secure(uri, issuer) : undefined
    },

    doubt() {
      askAgainAt = Number.NEGATIVE_INFINITY
    },
  }
}

/** The first of the well-known places that answers with this issuer's metadata. */
async function discover({ issuer, fetch, timeoutMs }: DiscoveryOptions): Promise<Metadata> {
  const failures: unknown[] = []
  for (const url of wellKnown(issuer)) {
    try {
      const { text } = await fetchDocument(url, {
        fetch,
        timeoutMs,
        maxBytes: MAX_BYTES,
        accept: 'application/json',
      })
      const metadata = JSON.parse(text) as Metadata | null
      // RFC 8414 §3.3: to the letter, or an impostor could point us at keys of its own.
      if (metadata?.issuer !== issuer) throw new Error('the metadata is of another issuer')
      return metadata
    } catch (error) {
      // It would hang at the other place as well.
      if (isTimeout(error)) throw error
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'the metadata of the issuer cannot be had')
}

/** RFC 8414 §3.1 puts the issuer's path behind the well-known part, OpenID Connect Discovery §4 before it. */
function wellKnown(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

/** Keys that came over plain http could be anybody's; only an issuer that is on http itself may have them there. */
function secure(uri: string, issuer: string): string {
  const { protocol } = new URL(uri)
  if (protocol !== 'https:' && protocol !== new URL(issuer).protocol) throw new Error(`${uri} is not https`)
  return uri
}
