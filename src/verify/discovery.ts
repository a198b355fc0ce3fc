/** Where the issuer keeps its keys and lists (RFC 8414; OpenID Connect Discovery), asked once and kept. */
import { fetchDocument } from './fetch-document.ts'

export interface Discovery {
  /** @throws {Error} if the metadata cannot be had, or is not this issuer's */
  jwksUri(): Promise<string>
  /** Where the issuer lists its status lists (Token Status List §9), if it has any. */
  statusLists(): Promise<string | undefined>
}

export interface DiscoveryOptions {
  readonly issuer: string
  /** Known already: nothing is asked. */
  readonly jwksUri: string | undefined
  readonly fetch: typeof fetch
  readonly timeoutMs: number
}

interface Metadata {
  readonly issuer?: unknown
  readonly jwks_uri?: unknown
  readonly status_list_aggregation_endpoint?: unknown
}

const MAX_BYTES = 262_144

export function createDiscovery(options: DiscoveryOptions): Discovery {
  let known: Promise<Metadata> | undefined

  function metadata(): Promise<Metadata> {
    known ??= discover(options).catch((error: unknown) => {
      known = undefined
      throw error
    })
    return known
  }

  return {
    async jwksUri() {
      if (options.jwksUri !== undefined) return options.jwksUri
      const { jwks_uri: uri } = await metadata()
      if (typeof uri !== 'string') throw new Error('the metadata has no jwks_uri')
      return secure(uri, options.issuer)
    },

    async statusLists() {
      const { status_list_aggregation_endpoint: uri } = await metadata()
      return typeof uri === 'string' ? secure(uri, options.issuer) : undefined
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
      const metadata = JSON.parse(text) as Metadata
      // RFC 8414 §3.3: to the letter, or an impostor could point us at keys of its own.
      if (metadata?.issuer !== issuer) throw new Error('the metadata is of another issuer')
      return metadata
    } catch (error) {
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

/** Keys that came over plain http could be anybody's; only an issuer on http (a loopback one) may have them there. */
function secure(uri: string, issuer: string): string {
  const { protocol } = new URL(uri)
  if (protocol !== 'https:' && protocol !== new URL(issuer).protocol) throw new Error(`${uri} is not https`)
  return uri
}
