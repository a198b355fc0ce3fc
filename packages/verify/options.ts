/** The options of a verifier: their meaning, their defaults, and the checks that refuse unusable ones. */

import { BlockList, isIP } from 'node:net'
import { type DpopOptions, resolveDpop } from './dpop-options.ts'
import { normalizeType } from './jose-header.ts'
import { isLoopback, normalizedUrl } from './request-url.ts'
import { resolveAuthentication } from './requirements.ts'
import { type AlgorithmName, isAlgorithmName } from './signature-algorithms.ts'
import type { StatusListOptions } from './status-list-poller.ts'
import { refuseUnknown } from './unknown-options.ts'

export interface VerifierOptions {
  /** The issuer, exactly as in `iss` and in the issuer's metadata. */
  readonly issuer: string
  /** The names of this service in `aud`. A token for any one of them is accepted. */
  readonly audience: string | readonly string[]
  /** Accepted signature algorithms. Default: RS256 only. */
  readonly algorithms?: readonly AlgorithmName[]
  /** Whether tokens that are revoked according to the issuer's status lists are refused. Default: false. */
  readonly statusList?: boolean | StatusListOptions
  /** Makes this service known to a Keyturn server, which waits for it before it rotates keys. */
  readonly name?: string
  /** How far clocks may differ, in seconds. Default: 30; at most 300. */
  readonly leeway?: number
  /** The address of the JWKS, for an issuer without discovery. */
  readonly jwksUri?: string
  /**
   * The base URL of a copy of what is published under the issuer's origin, such as the output of `keyturn export` in a
   * bucket or behind a CDN. Everything is fetched from there.
   */
  readonly mirror?: string
  /** A file in which the keys are saved, so that the service can start while the issuer is down. */
  readonly keysFile?: string
  /**
   * Accepted `typ` headers, without `application/`. Default: `at+jwt` (RFC 9068). Some issuers use `JWT`, and some no
   * `typ` at all, which is the empty string here. `client_id`, `jti` and `iat` are not required in their tokens.
   */
  readonly types?: readonly string[]
  /** How many verified tokens are cached. 0 turns the cache off. Default: 10,000. */
  readonly cacheSize?: number
  /** Maximum length of a token in characters; longer tokens are refused. Default: 16,384. */
  readonly maxTokenLength?: number
  /** Timeout of a fetch of keys or status lists, and of `dpop.claim`, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number
  /** Allows an issuer on plain http that is not on this machine. An attacker on the network can then forge tokens. */
  readonly allowInsecureHttp?: boolean
  /**
   * Refuses tokens that are not bound to a key (DPoP) or a certificate. Tokens that are bound always need their proof, with either value.
   * Default: false.
   */
  readonly requireBound?: boolean
  /** How DPoP proofs are checked. With this option, or `requireBound`, challenges name the scheme `DPoP` besides `Bearer`. */
  readonly dpop?: DpopOptions
  /**
   * The URL under which clients reach this service, with the path that a proxy removes. Guards compare proofs with it; the header `Host` is
   * never believed. Default: the origin of `audience`, if that is a URL; a caller on this machine may also use a loopback address.
   */
  readonly baseUrl?: string
  /**
   * Addresses or networks, such as `10.0.0.0/8`, of proxies whose `Client-Cert` header (RFC 9440) guards believe. Every other sender's is
   * ignored. Default: none.
   */
  readonly trustedProxies?: readonly string[]
  /** Requires that users have authenticated at one of these levels (`acr`, RFC 9470); a list names all that are accepted. */
  readonly requireAcr?: string | readonly string[]
  /** Requires that users have authenticated at most this many seconds ago, besides `leeway` (`auth_time`, RFC 9470). */
  readonly maxAge?: number
  /** The realm in the challenge of a 401 (RFC 9110 §11.5). Default: the first audience. */
  readonly realm?: string
  /** Replaces the global `fetch`, for proxies and private certificates. */
  readonly fetch?: typeof fetch
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
  /** Milliseconds of a monotonic clock; for tests. */
  readonly monotonic?: () => number
}

const OPTIONS: Readonly<Record<keyof VerifierOptions, true>> = {
  issuer: true,
  audience: true,
  algorithms: true,
  statusList: true,
  name: true,
  leeway: true,
  jwksUri: true,
  mirror: true,
  keysFile: true,
  types: true,
  cacheSize: true,
  maxTokenLength: true,
  timeoutMs: true,
  allowInsecureHttp: true,
  requireBound: true,
  dpop: true,
  baseUrl: true,
  trustedProxies: true,
  requireAcr: true,
  maxAge: true,
  realm: true,
  fetch: true,
  clock: true,
  monotonic: true,
}
const STATUS_LIST_OPTIONS: Readonly<Record<keyof StatusListOptions, true>> = {
  onStale: true,
  staleAfter: true,
  uris: true,
}

const MAX_LEEWAY = 300

const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Fills in the defaults. @throws {TypeError} if an option is unusable or unsafe */
export function resolveOptions(options: VerifierOptions) {
  refuseUnknown('createVerifier', options, Object.keys(OPTIONS))
  const audiences = [options.audience].flat()
  const clock = options.clock ?? (() => Date.now() / 1000)
  const resolved = {
    ...options,
    audiences,
    algorithms: options.algorithms ?? (['RS256'] as const),
    types: (options.types ?? ['at+jwt']).map((type) => (type === '' ? '' : normalizeType(type))),
    leeway: options.leeway ?? 30,
    cacheSize: options.cacheSize ?? 10_000,
    maxTokenLength: options.maxTokenLength ?? 16_384,
    timeoutMs: options.timeoutMs ?? 5000,
    realm: options.realm ?? audiences[0] ?? '',
    fetch: options.fetch ?? globalThis.fetch,
    requireBound: options.requireBound ?? false,
    dpop: resolveDpop(options.dpop ?? {}, clock),
    announcesDpop: options.dpop !== undefined || options.requireBound === true,
    trustedProxies: proxyList(options.trustedProxies ?? []),
    authentication: resolveAuthentication({ acr: options.requireAcr, maxAge: options.maxAge }),
    clock,
    monotonic: options.monotonic ?? (() => performance.now()),
  }
  const { issuer, algorithms, types, leeway, name, statusList } = resolved
  for (const [option, url] of Object.entries({ issuer, jwksUri: options.jwksUri, mirror: options.mirror })) {
    if (url !== undefined) assertUrl(option, url, options.allowInsecureHttp ?? false)
  }
  assert(
    audiences.length > 0 && audiences.every((one) => typeof one === 'string' && one !== ''),
    'audience must name this service',
  )
  const unknown = algorithms.find((one) => !isAlgorithmName(one))
  assert(unknown === undefined, `${unknown} is not a supported signature algorithm`)
  assert(algorithms.length > 0, 'algorithms must name at least one')
  assert(types.length > 0 && !types.includes(undefined), 'types must be names of media types')
  assert(leeway >= 0 && leeway <= MAX_LEEWAY, `leeway must be from 0 to ${MAX_LEEWAY} seconds`)
  for (const option of ['cacheSize', 'maxTokenLength', 'timeoutMs'] as const) {
    assert(isWhole(resolved[option]), `${option} must be a whole number`)
  }
  assert(
    name === undefined || /^[A-Za-z0-9._-]{1,64}$/.test(name),
    'name must be 1 to 64 letters, digits, dots, dashes or underscores',
  )
  assert(typeof resolved.requireBound === 'boolean', 'requireBound must be true or false')
  assert(
    options.baseUrl === undefined || isBaseUrl(options.baseUrl),
    'baseUrl must be an http URL without query and fragment',
  )
  if (typeof statusList === 'object') assertStatusList(statusList)
  else
    assert(
      statusList === undefined || typeof statusList === 'boolean',
      'statusList must be true, false or options',
    )
  return { ...resolved, types: types as readonly string[] }
}

function assertStatusList(options: StatusListOptions): void {
  refuseUnknown('statusList', options, Object.keys(STATUS_LIST_OPTIONS))
  const { onStale, staleAfter } = options
  assert(
    onStale === undefined || onStale === 'accept' || onStale === 'reject',
    'onStale must be accept or reject',
  )
  assert(staleAfter === undefined || staleAfter > 0, 'staleAfter must be more than 0 seconds')
}

/** Keys fetched over plain http could come from anyone (RFC 8414 §2 requires https). */
function assertUrl(option: string, url: string, allowInsecure: boolean): void {
  assert(URL.canParse(url), `${option} must be a URL`)
  const { protocol, hostname } = new URL(url)
  const allowed = protocol === 'https:' || (protocol === 'http:' && (isLoopback(hostname) || allowInsecure))
  assert(allowed, `${option} must be https`)
}

const isBaseUrl = (url: string): boolean => normalizedUrl(url) !== undefined && !/[?#]/.test(url)

function proxyList(addresses: readonly string[]): BlockList {
  const list = new BlockList()
  for (const one of addresses) {
    const [address = '', bits] = one.split('/')
    const family = isIP(address)
    assert(family !== 0, `trustedProxies: ${one} is not an IP address or a network`)
    const type = family === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, type)
    else {
      assert(
        /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32),
        `trustedProxies: ${one} is not a network`,
      )
      list.addSubnet(address, Number(bits), type)
    }
  }
  return list
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new TypeError(message)
}
