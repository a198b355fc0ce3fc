/** What a verifier can be told, and which of it makes no sense. */
import { type AlgorithmName, isAlgorithm } from './algorithms.ts'
import { typeOf } from './header.ts'
import type { StatusOptions } from './status-lists.ts'

export interface VerifierOptions {
  /** Exactly as in `iss` and the issuer's metadata. */
  readonly issuer: string
  /** What this service is called in `aud`; a token for any of them will do. */
  readonly audience: string | readonly string[]
  /** Accepted signature algorithms. Default: RS256 only. */
  readonly algorithms?: readonly AlgorithmName[]
  /** Refuse tokens that were revoked, by the issuer's status lists. Default: off. */
  readonly statusList?: boolean | StatusOptions
  /** Makes this verifier known to a Keyturn server, which then waits for it before it rotates keys. */
  readonly name?: string
  /** Seconds that clocks may differ. Default: 30; at most 300. */
  readonly leeway?: number
  /** Where the keys are, if the issuer offers no discovery. */
  readonly jwksUri?: string
  /**
   * Where to fetch what is published under the issuer's origin, if not from the issuer itself: a copy of it, such
   * as what `keyturn export` wrote, in a bucket or behind a CDN.
   */
  readonly mirror?: string
  /** A file in which the keys are kept, for a start while the issuer is away. */
  readonly keysFile?: string
  /**
   * Accepted `typ` headers, without `application/`. Default: `at+jwt` (RFC 9068). Some issuers say `JWT`, and some
   * nothing at all (``); of their tokens, `client_id`, `jti` and `iat` are not required.
   */
  readonly types?: readonly string[]
  /** Tokens remembered as verified; 0: none. Default: 10,000. */
  readonly cacheSize?: number
  /** Longest token that is looked at, in characters. Default: 16,384. */
  readonly maxTokenLength?: number
  /** Milliseconds for a fetch of keys or lists. Default: 5,000. */
  readonly timeoutMs?: number
  /** Allows an issuer on plain http that is not this machine. Whoever is on the way can then make good tokens. */
  readonly allowInsecureHttp?: boolean
  /** Named in the challenge of a 401 (RFC 9110 §11.5). Default: the first audience. */
  readonly realm?: string
  readonly fetch?: typeof fetch
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
  /** Milliseconds that only grow; for tests. */
  readonly monotonic?: () => number
}

const MOST_LEEWAY = 300

const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** With the defaults filled in. @throws {TypeError} */
export function settle(options: VerifierOptions) {
  const audiences = [options.audience].flat()
  const settled = {
    ...options,
    audiences,
    algorithms: options.algorithms ?? (['RS256'] as const),
    types: (options.types ?? ['at+jwt']).map((type) => (type === '' ? '' : typeOf(type))),
    leeway: options.leeway ?? 30,
    cacheSize: options.cacheSize ?? 10_000,
    maxTokenLength: options.maxTokenLength ?? 16_384,
    timeoutMs: options.timeoutMs ?? 5000,
    realm: options.realm ?? audiences[0] ?? '',
    fetch: options.fetch ?? globalThis.fetch,
    clock: options.clock ?? (() => Date.now() / 1000),
    monotonic: options.monotonic ?? (() => performance.now()),
  }
  const { issuer, algorithms, types, leeway, name, statusList } = settled
  for (const [what, url] of Object.entries({ issuer, jwksUri: options.jwksUri, mirror: options.mirror })) {
    if (url !== undefined) assertUrl(what, url, options.allowInsecureHttp ?? false)
  }
  assert(
    audiences.length > 0 && audiences.every((one) => typeof one === 'string' && one !== ''),
    'audience must name this service',
  )
  const unknown = algorithms.find((one) => !isAlgorithm(one))
  assert(unknown === undefined, `${unknown} is not an algorithm that can be accepted`)
  assert(algorithms.length > 0, 'algorithms must name at least one')
  assert(types.length > 0 && !types.includes(undefined), 'types must be names of media types')
  assert(leeway >= 0 && leeway <= MOST_LEEWAY, `leeway must be from 0 to ${MOST_LEEWAY} seconds`)
  for (const size of ['cacheSize', 'maxTokenLength', 'timeoutMs'] as const) {
    assert(isWhole(settled[size]), `${size} must be a whole number`)
  }
  assert(
    name === undefined || /^[A-Za-z0-9._-]{1,64}$/.test(name),
    'name must be 1 to 64 letters, digits, dots, dashes or underscores',
  )
  if (typeof statusList === 'object') assertStatus(statusList)
  return { ...settled, types: types as readonly string[] }
}

function assertStatus({ onStale, staleAfter }: StatusOptions): void {
  assert(
    onStale === undefined || onStale === 'accept' || onStale === 'reject',
    'onStale must be accept or reject',
  )
  assert(staleAfter === undefined || staleAfter > 0, 'staleAfter must be more than 0 seconds')
}

/** Keys that came over plain http could be anybody's (RFC 8414 §2 wants https). */
function assertUrl(what: string, url: string, insecure: boolean): void {
  assert(URL.canParse(url), `${what} must be a URL`)
  const { protocol, hostname } = new URL(url)
  const local = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
  assert(protocol === 'https:' || (protocol === 'http:' && (local || insecure)), `${what} must be https`)
}

function assert(fine: boolean, message: string): void {
  if (!fine) throw new TypeError(message)
}
