/**
 * An issuer for tests of @keyturn/verify: metadata, keys and anything else on a real port of this machine, with
 * counted requests and replaceable responses. It signs whatever a test needs, valid or not.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose'
import type { Test } from 'tap'
import {
  createVerifier,
  type Verifier,
  type VerifierOptions,
  VerifyError,
} from '../../../packages/verify/index.ts'
import { HANG_MS } from '../server/waiting.ts'

export const AUDIENCE = 'https://orders.example'
export const METADATA = '/.well-known/oauth-authorization-server'
export const OPENID = '/.well-known/openid-configuration'
export const JWKS = '/jwks.json'

export interface SigningKey {
  readonly kid: string
  readonly alg: string
  /** As published. */
  readonly jwk: JWK
  readonly private: CryptoKey
}

export async function signingKey(kid: string, alg = 'RS256'): Promise<SigningKey> {
  const pair = await generateKeyPair(alg, { modulusLength: 2048, extractable: true })
  return {
    kid,
    alg,
    jwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' },
    private: pair.privateKey,
  }
}

/** Wall clock and monotonic clock in one; both stand still until advanced. */
export interface TestTime {
  /** Seconds since 1970. */
  now(): number
  tick(seconds: number): void
  readonly clocks: { readonly clock: () => number; readonly monotonic: () => number }
}

export function testTime(start = 1_800_000_000): TestTime {
  let passed = 0
  return {
    now: () => start + passed,
    tick(seconds) {
      passed += seconds
    },
    clocks: { clock: () => start + passed, monotonic: () => passed * 1000 },
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface FakeIssuer {
  readonly issuer: string
  readonly origin: string
  readonly time: TestTime
  readonly key: SigningKey
  /** The content of the JWKS; assign to rotate. */
  keys: unknown[]
  /** Headers of the JWKS. */
  readonly jwksHeaders: Record<string, string>
  /** Metadata besides `issuer` and `jwks_uri`. */
  readonly metadata: Record<string, unknown>
  /** Replaces the response at a path; undefined restores the usual one. */
  readonly routes: Map<string, Handler>
  /** Requested paths, in order. */
  readonly requests: string[]
  /** Requests for this path so far. */
  count(path?: string): number
  /** The last request's headers. */
  lastHeaders(): IncomingMessage['headers']
  /** A valid access token with changes; undefined removes a claim or header. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: SigningKey): Promise<string>
  /** A verifier of this issuer on this clock, closed with the test. */
  verifier(options?: Partial<VerifierOptions>): Verifier
  stop(): Promise<void>
  start(): Promise<void>
}

interface FakeIssuerOptions {
  /** The path of the issuer’s URL, without a trailing slash. */
  readonly path?: string
  /** Default: one key for all issuers of a test file. */
  readonly key?: SigningKey
}

/** Generating one takes longer than most tests. */
let defaultKey: Promise<SigningKey> | undefined

export async function fakeIssuer(t: Test, { path = '', key }: FakeIssuerOptions = {}): Promise<FakeIssuer> {
  defaultKey ??= signingKey('key-1')
  const signer = key ?? (await defaultKey)
  const time = testTime()
  let last: IncomingMessage['headers'] = {}
  let server: Server | undefined
  let port = 0

  const json = (response: ServerResponse, body: unknown, headers: Record<string, string> = {}) =>
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

  const defaults: Record<string, Handler> = {
    [METADATA + path]: (_, response) =>
      json(response, { issuer: self.issuer, jwks_uri: self.origin + JWKS, ...self.metadata }),
    [JWKS]: (_, response) => json(response, { keys: self.keys }, self.jwksHeaders),
  }

  const self: FakeIssuer = {
    issuer: '',
    origin: '',
    time,
    key: signer,
    keys: [signer.jwk],
    jwksHeaders: {},
    metadata: {},
    routes: new Map(),
    requests: [],
    count: (at = JWKS) => self.requests.filter((one) => one === at).length,
    lastHeaders: () => last,
    token: (claims = {}, header = {}, signedWith = signer) =>
      signed(
        { ...goodClaims(self.issuer, time.now()), ...claims },
        { alg: signedWith.alg, typ: 'at+jwt', kid: signedWith.kid, ...header },
        signedWith,
      ),
    verifier(options = {}) {
      const verifier = createVerifier({
        issuer: self.issuer,
        audience: AUDIENCE,
        timeoutMs: HANG_MS,
        ...time.clocks,
        ...options,
      })
      t.teardown(() => verifier.close())
      return verifier
    },
    async start() {
      server = createServer((request, response) => {
        const { pathname } = new URL(request.url ?? '/', 'http://localhost')
        self.requests.push(pathname)
        last = request.headers
        const handler = self.routes.get(pathname) ?? defaults[pathname]
        if (handler) handler(request, response)
        else response.writeHead(404).end()
      }).listen(port, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
    },
    async stop() {
      server?.closeAllConnections()
      server?.close()
      if (server?.listening) await once(server, 'close')
    },
  }
  await self.start()
  const origin = `http://127.0.0.1:${port}`
  t.teardown(() => self.stop())
  return Object.assign(self, { origin, issuer: origin + path })
}

/** Real requests that run into their time limit when the test says so, instead of after some time. */
export function fetchWithTimeouts(): { readonly fetch: typeof fetch; timeOut(): void } {
  let limit = new AbortController()
  return {
    fetch: (url, init) => fetch(url, { ...init, signal: limit.signal }),
    /** Ends all requests in progress, as `AbortSignal.timeout()` does. */
    timeOut() {
      limit.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
      limit = new AbortController()
    },
  }
}

export function goodClaims(issuer: string, now: number): Record<string, unknown> {
  return {
    iss: issuer,
    sub: 'user-1',
    aud: AUDIENCE,
    client_id: 'web',
    iat: now,
    exp: now + 600,
    jti: 'token-1',
    scope: 'orders:read orders:write',
    roles: ['clerk'],
  }
}

/** Any bytes as payload; an object becomes JSON. */
export function signed(
  payload: string | Uint8Array | object,
  header: Record<string, unknown>,
  key: SigningKey,
): Promise<string> {
  const bytes =
    payload instanceof Uint8Array
      ? payload
      : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))
  return new CompactSign(bytes).setProtectedHeader(header as { alg: string }).sign(key.private)
}

export const base64url = (value: string | Uint8Array | object): string =>
  Buffer.from(
    typeof value === 'string' || value instanceof Uint8Array ? value : JSON.stringify(value),
  ).toString('base64url')

/** The code of the refusal, or `accepted`; any error other than a VerifyError is thrown. */
export async function verdict(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token)
    return 'accepted'
  } catch (error) {
    if (error instanceof VerifyError) return error.code
    throw error
  }
}
