/** What the plugin can be told, and which of it makes no sense. */
import type { webcrypto } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { SameSite } from './cookies.ts'
import { secretBytes } from './encryption.ts'
import type { Claims } from './session.ts'
import type { SessionStore } from './session-store.ts'

export interface Paths {
  /** Default: `/auth/login`. */
  readonly login: string
  /** The redirect URI, with `baseUrl` before it. Default: `/auth/callback`. */
  readonly callback: string
  /** Default: `/auth/session`. */
  readonly session: string
  /** Default: `/auth/logout`. */
  readonly logout: string
}

export interface BrowserSessionOptions {
  /** Exactly as in its metadata. */
  readonly issuer: string
  readonly clientId: string
  /** For `client_secret_basic`, or `client_secret_post` if the issuer offers only that. */
  readonly clientSecret?: string
  /** For `private_key_jwt`. */
  readonly privateKey?: webcrypto.CryptoKey | { readonly key: webcrypto.CryptoKey; readonly kid: string }
  /** 32 bytes, or base64url of them. Several: the first seals, each opens. */
  readonly secret: string | Uint8Array | readonly (string | Uint8Array)[]
  /** The origin under which browsers see this app. */
  readonly baseUrl: string
  /** Default: `openid`. `offline_access` asks many issuers for a refresh token. */
  readonly scopes?: readonly string[]
  /** More for the authorization request, such as `resource`, `audience` or `prompt`. */
  readonly authorizationParameters?: Readonly<Record<string, string>>
  /** Where sessions are: in a store (default: this process' memory) or, with `cookie`, sealed in cookies. */
  readonly store?: SessionStore | 'cookie'
  /** Default: `Lax`. `Strict`: links from elsewhere arrive as if signed out. */
  readonly sameSite?: SameSite
  /** Default: `session`. */
  readonly cookieName?: string
  /** Seconds without a request after which a session ends. Default: a day. */
  readonly idleSeconds?: number
  /** Seconds after the sign-in at which it ends. Default: a week. */
  readonly absoluteSeconds?: number
  /** Seconds before its end at which an access token is renewed. Default: 30. */
  readonly refreshAhead?: number
  /** Header that requests which change something must carry. Default: `x-csrf`. */
  readonly csrfHeader?: string
  readonly paths?: Partial<Paths>
  /** A path of this app, registered at the issuer as `post_logout_redirect_uri`. Default: `/`. */
  readonly afterLogout?: string
  /** Runs before a session begins; throw to refuse it. */
  readonly onSignedIn?: (event: { claims: Claims; request: FastifyRequest }) => void | Promise<void>
  /** What the page may know of the claims. Default: all but those of the protocol, such as `nonce`. */
  readonly pageClaims?: (claims: Claims) => Record<string, unknown>
  /** Milliseconds for a request to the issuer. Default: 5,000. */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
}

/** Parameters that are ours to choose: whoever sets them takes the protection away. */
const RESERVED =
  /^(?:client_id|response_type|response_mode|redirect_uri|scope|state|nonce|code_challenge(?:_method)?)$/
const PROTOCOL_CLAIMS =
  /^(?:iss|aud|azp|exp|iat|nbf|jti|nonce|at_hash|c_hash|s_hash|sid|amr|acr|auth_time|[a-z]+_hash)$/

/** With the defaults filled in. @throws {TypeError} */
export function settle(options: BrowserSessionOptions) {
  const { protocol, origin } = assertOrigin(options.baseUrl)
  assertUrl('issuer', options.issuer)
  const settled = {
    ...options,
    origin,
    secure: protocol === 'https:',
    secrets: (Array.isArray(options.secret) ? options.secret : [options.secret]).map(secretBytes),
    scope: [...new Set(['openid', ...(options.scopes ?? [])])].join(' '),
    authorizationParameters: options.authorizationParameters ?? {},
    sameSite: options.sameSite ?? ('Lax' as const),
    cookieName: options.cookieName ?? 'session',
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
    pageClaims: options.pageClaims ?? withoutProtocol,
    timeoutMs: options.timeoutMs ?? 5000,
    fetch: options.fetch ?? globalThis.fetch,
    clock: options.clock ?? (() => Date.now() / 1000),
  }
  const { sameSite, lifetimes, paths, afterLogout } = settled
  assert(settled.secrets.length > 0, 'secret must not be empty')
  assert(options.clientId !== '', 'clientId must name this app')
  assert(
    options.clientSecret === undefined || options.privateKey === undefined,
    'clientSecret or privateKey, not both',
  )
  assert(sameSite === 'Lax' || sameSite === 'Strict', 'sameSite must be Lax or Strict')
  assert(/^[A-Za-z0-9_-]{1,64}$/.test(settled.cookieName), 'cookieName must be letters, digits, - or _')
  // A header that a plain form or any cross-site request may carry protects nothing.
  assert(/^x-[a-z0-9-]+$/.test(settled.csrfHeader), 'csrfHeader must begin with x-')
  assert(
    lifetimes.idleSeconds > 0 && lifetimes.absoluteSeconds > 0 && lifetimes.refreshAhead >= 0,
    'idleSeconds and absoluteSeconds must be more than 0',
  )
  for (const path of [...Object.values(paths), afterLogout]) {
    assert(/^\/(?:[A-Za-z0-9._~-]+\/?)*$/.test(path), `${path} must be a plain path`)
  }
  assert(new Set(Object.values(paths)).size === 4, 'paths must differ')
  const reserved = Object.keys(settled.authorizationParameters).find((name) => RESERVED.test(name))
  assert(reserved === undefined, `authorizationParameters must not set ${reserved}`)
  return settled
}

export type Settings = ReturnType<typeof settle>

function withoutProtocol(claims: Claims): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.test(name)))
}

function assertOrigin(baseUrl: string): URL {
  const url = assertUrl('baseUrl', baseUrl)
  assert(url.href === `${url.origin}/`, 'baseUrl must be an origin, without a path')
  return url
}

export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

/** On plain http, whoever is on the way has the cookies and the tokens. */
function assertUrl(what: string, text: string): URL {
  assert(URL.canParse(text), `${what} must be a URL`)
  const url = new URL(text)
  const fine = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
  assert(fine, `${what} must be https`)
  return url
}

function assert(fine: boolean, message: string): void {
  if (!fine) throw new TypeError(message)
}
