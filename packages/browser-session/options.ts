/** The options of the plugin: their meaning, their defaults, and the checks that refuse unusable or unsafe ones. */
import type { webcrypto } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { SameSite } from './cookies.ts'
import { secretBytes } from './encryption.ts'
import { isLoopback } from './loopback.ts'
import type { SessionStore } from './session-store.ts'
import type { IdTokenClaims } from './tokens.ts'

/** Paths of the plugin's endpoints. */
export interface Paths {
  /** Starts a sign-in. Default: `/auth/login`. */
  readonly login: string
  /** With `baseUrl` before it, this is the redirect URI. Default: `/auth/callback`. */
  readonly callback: string
  /** Says who is signed in. Default: `/auth/session`. */
  readonly session: string
  /** Ends the session. Default: `/auth/logout`. */
  readonly logout: string
}

export interface BrowserSessionOptions {
  /** The issuer, exactly as in its metadata. */
  readonly issuer: string
  /** The client id that is registered at the issuer. */
  readonly clientId: string
  /**
   * Used with `client_secret_basic`, or with `client_secret_post` if the issuer supports only that (RFC 6749 §2.3.1).
   * Without it and without `privateKey`, the app is a public client.
   */
  readonly clientSecret?: string
  /** Used with `private_key_jwt` (OpenID Connect Core §9). */
  readonly privateKey?: webcrypto.CryptoKey | { readonly key: webcrypto.CryptoKey; readonly kid: string }
  /** 32 bytes, or their base64url. With several secrets, the first one encrypts and all of them decrypt. */
  readonly secret: string | Uint8Array | readonly (string | Uint8Array)[]
  /** The origin of this app as browsers see it. */
  readonly baseUrl: string
  /** Requested scopes; `openid` is always added. Many issuers return a refresh token only for `offline_access`. */
  readonly scopes?: readonly string[]
  /** Further parameters of the authorization request, such as `resource`, `audience` or `prompt`. */
  readonly authorizationParameters?: Readonly<Record<string, string>>
  /** Where sessions are kept: in a store (default: `memoryStore()`) or, with `'cookie'`, encrypted in cookies. */
  readonly store?: SessionStore | 'cookie'
  /** With `Strict`, a link from another site opens the app as if no one were signed in. Default: `Lax`. */
  readonly sameSite?: SameSite
  /**
   * Default: `session`, with the port if `baseUrl` has one, because cookies ignore ports. On https, cookies also have the
   * prefix `__Host-`.
   */
  readonly cookieName?: string
  /** A session ends after this many seconds without a request. Default: a day. */
  readonly idleSeconds?: number
  /** A session ends this many seconds after the sign-in in any case. Default: a week. */
  readonly absoluteSeconds?: number
  /** An access token is refreshed this many seconds before it expires. Default: 30. */
  readonly refreshAhead?: number
  /** The header that every request with an unsafe method must have; it begins with `x-`. Default: `x-csrf`. */
  readonly csrfHeader?: string
  readonly paths?: Partial<Paths>
  /** The path after the logout; with `baseUrl` before it, registered as `post_logout_redirect_uri`. Default: `/`. */
  readonly afterLogout?: string
  /** Runs before a session begins. If it throws, there is no session, and the app's error handler gets the error. */
  readonly onSignedIn?: (event: { claims: IdTokenClaims; request: FastifyRequest }) => void | Promise<void>
  /** The claims that the session endpoint shows to pages. Default: all but those of the protocol, such as `nonce`. */
  readonly pageClaims?: (claims: IdTokenClaims) => Record<string, unknown>
  /** Timeout of a request to the issuer, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number
  /** Replaces the global `fetch`, for proxies and private certificates. */
  readonly fetch?: typeof fetch
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
}

/** The plugin sets these parameters. Another value would break the protection of the sign-in. */
const RESERVED =
  /^(?:client_id|response_type|response_mode|redirect_uri|scope|state|nonce|code_challenge(?:_method)?)$/
const PROTOCOL_CLAIMS =
  /^(?:iss|aud|azp|exp|iat|nbf|jti|nonce|at_hash|c_hash|s_hash|sid|amr|acr|auth_time|[a-z]+_hash)$/

/** Fills in the defaults. @throws {TypeError} if an option is unusable or unsafe */
export function resolveOptions(options: BrowserSessionOptions) {
  const { protocol, origin, port } = assertOrigin(options.baseUrl)
  assertUrl('issuer', options.issuer)
  const resolved = {
    ...options,
    origin,
    secure: protocol === 'https:',
    secrets: (Array.isArray(options.secret) ? options.secret : [options.secret]).map(secretBytes),
    scope: [...new Set(['openid', ...(options.scopes ?? [])])].join(' '),
    authorizationParameters: options.authorizationParameters ?? {},
    sameSite: options.sameSite ?? ('Lax' as const),
    cookieName: options.cookieName ?? (port === '' ? 'session' : `session-${port}`),
    lifetimes: {
      idleSeconds: options.idleSeconds ?? 86_400,
      absoluteSeconds: options.absoluteSeconds ?? 604_800,
      refreshAhead: options.refreshAhead ?? 30,
    },
    csrfHeader: (options.csrfHeader ?? 'x-csrf').toLowerCase(),
    paths: {
      login: '/auth/login',
      callback: '/auth/callback',
      session: '/auth/session',
      logout: '/auth/logout',
      ...options.paths,
    },
    afterLogout: options.afterLogout ?? '/',
    pageClaims: options.pageClaims ?? withoutProtocolClaims,
    timeoutMs: options.timeoutMs ?? 5000,
    fetch: options.fetch ?? globalThis.fetch,
    clock: options.clock ?? (() => Date.now() / 1000),
  }
  const { sameSite, lifetimes, paths, afterLogout } = resolved
  assert(resolved.secrets.length > 0, 'secret must not be empty')
  assert(options.clientId !== '', 'clientId must not be empty')
  assert(
    options.clientSecret === undefined || options.privateKey === undefined,
    'clientSecret and privateKey must not both be set',
  )
  assert(sameSite === 'Lax' || sameSite === 'Strict', 'sameSite must be Lax or Strict')
  assert(/^[A-Za-z0-9_-]{1,64}$/.test(resolved.cookieName), 'cookieName must be letters, digits, - or _')
  // A header that a form or a simple cross-site request can have would protect nothing.
  assert(/^x-[a-z0-9-]+$/.test(resolved.csrfHeader), 'csrfHeader must begin with x-')
  assert(
    lifetimes.idleSeconds > 0 && lifetimes.absoluteSeconds > 0 && lifetimes.refreshAhead >= 0,
    'idleSeconds and absoluteSeconds must be more than 0, and refreshAhead at least 0',
  )
  for (const path of [...Object.values(paths), afterLogout]) {
    assert(/^\/(?:[A-Za-z0-9._~-]+\/?)*$/.test(path), `${path} must be a plain path`)
  }
  assert(new Set(Object.values(paths)).size === 4, 'paths must differ')
  const reserved = Object.keys(resolved.authorizationParameters).find((name) => RESERVED.test(name))
  assert(reserved === undefined, `authorizationParameters must not set ${reserved}`)
  return resolved
}

export type Settings = ReturnType<typeof resolveOptions>

function withoutProtocolClaims(claims: IdTokenClaims): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.test(name)))
}

function assertOrigin(baseUrl: string): URL {
  const url = assertUrl('baseUrl', baseUrl)
  assert(url.href === `${url.origin}/`, 'baseUrl must be an origin, without a path')
  return url
}

/** On plain http, an attacker on the network could read the cookies and the tokens. */
function assertUrl(option: string, text: string): URL {
  assert(URL.canParse(text), `${option} must be a URL`)
  const url = new URL(text)
  const allowed = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
  assert(allowed, `${option} must be https`)
  return url
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new TypeError(message)
}
