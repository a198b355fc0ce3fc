/**
 * What nearly every module of the OpenID Foundation’s provider plans does and checks (docs/internals/conformance.md): one
 * sign-in, by redirect or by form_post, its response, its tokens.
 */
import { createHash } from 'node:crypto'
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../browser/browser.ts'
import {
  authorizeParams,
  completePages,
  type Overrides,
  redeem,
  type SignInOptions,
} from '../browser/sign-in.ts'
import { ISSUER, type TestServer } from '../server/server.ts'

type Mode = 'query' | 'form_post'
const MODES: readonly Mode[] = ['query', 'form_post']

/** Runs a module of the basic plan and of the form post plan. */
export const inBothModes =
  (work: (t: Test, mode: Mode) => Promise<void>) =>
  async (t: Test): Promise<void> => {
    for (const mode of MODES) await t.test(mode, (t) => work(t as Test, mode))
  }

/** Registered as in the plans: a confidential client that relies on `nonce`. */
export const PLAIN = { client_id: 'lax', code_challenge: undefined, code_challenge_method: undefined }

interface Answer {
  readonly method: 'GET' | 'POST'
  /** Without the members that the response added. */
  readonly url: string
  readonly params: URLSearchParams
}

interface Tokens {
  readonly access_token: string
  readonly id_token: string
  readonly refresh_token: string
  readonly [name: string]: unknown
}

interface SignedIn {
  readonly params: URLSearchParams
  readonly tokens: Tokens
  readonly claims: JWTPayload
}

interface Suite {
  readonly server: TestServer
  browser(): Browser
  /** Goes through the pages to the client; null if the last page does not lead to a client. */
  answer(at: Browser, overrides: Overrides, options?: SignInOptions): Promise<Answer | null>
  /** A whole sign-in to verified tokens, with every shared check on the way. */
  signIn(t: Test, at: Browser, overrides: Overrides, options?: SignInOptions): Promise<SignedIn>
  /** Checks that the response is this error and contains nothing else. */
  refused(t: Test, answer: Answer | null, error: string | RegExp, state?: string): void
  userinfo(token: string): ReturnType<TestServer['inject']>
}

export function openidSuite(server: TestServer): Suite {
  const suite: Suite = {
    server,
    browser: () => openBrowser(server),

    async answer(at, overrides, options = {}) {
      const parameters = authorizeParams({ ...PLAIN, ...overrides })
      const first = await at.open(options.url ?? `/oauth2/authorize?${parameters}`)
      return answerOf(at, await completePages(at, first, options))
    },

    async signIn(t, at, overrides, options) {
      const requested = authorizeParams({ ...PLAIN, ...overrides })
      const answer = await suite.answer(at, overrides, options)
      if (!answer) throw new Error('the pages led to no client')
      const { params, method } = answer
      t.equal(method, requested.get('response_mode') === 'form_post' ? 'POST' : 'GET')
      t.same([...params.keys()].sort(), ['code', 'iss', ...(requested.has('state') ? ['state'] : [])].sort())
      t.equal(params.get('state'), requested.get('state'))
      t.equal(params.get('iss'), ISSUER)

      const as = String(requested.get('client_id'))
      const verifier = requested.has('code_challenge') ? {} : { code_verifier: '' }
      const response = await redeem(server, String(params.get('code')), { as, form: verifier })
      checkTokenResponse(t, response)
      const tokens = response.json<Tokens>()
      const claims = await checkIdToken(t, tokens.id_token, requested)
      // OpenID Connect Core §3.1.3.6
      const half = createHash('sha256').update(tokens.access_token).digest().subarray(0, 16)
      t.equal(claims.at_hash, half.toString('base64url'))
      return { params, tokens, claims }
    },

    refused(t, answer, error, state = 'the state') {
      if (!answer) throw new Error('the client received no response')
      const { params } = answer
      t.match(params.get('error') ?? '', error)
      t.same([...params.keys()].sort(), ['error', 'error_description', 'iss', 'state'])
      // RFC 6749 §4.1.2.1
      t.match(params.get('error_description'), /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/)
      t.equal(params.get('state'), state)
      t.equal(params.get('iss'), ISSUER)
    },

    userinfo: (token) =>
      server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${token}` } }),
  }

  async function answerOf(at: Browser, last: Page): Promise<Answer | null> {
    const page =
      last.away === null && last.forms.some(({ action }) => /^https?:/.test(action))
        ? await at.submit(last)
        : last
    if (!page.away) return null
    const { method, url, params } = page.away
    return { method, url: url.replace(/\?.*/, ''), params }
  }

  function checkTokenResponse(t: Test, response: Awaited<ReturnType<typeof redeem>>): void {
    t.equal(response.statusCode, 200, response.body)
    t.match(response.headers['content-type'], /^application\/json/)
    t.match(response.headers['cache-control'], /no-store/)
    const tokens = response.json<Tokens>()
    t.equal(tokens.token_type, 'Bearer')
    t.ok(Number.isInteger(tokens.expires_in) && Number(tokens.expires_in) > 0, 'expires_in')
    for (const name of ['access_token', 'refresh_token'] as const) {
      t.match(tokens[name], /^[\x20-\x7E]+$/, name)
      // 22 characters of a 64-letter alphabet have 128 bits.
      t.ok(new Set(tokens[name]).size > 20, `${name} is long enough`)
    }
  }

  async function checkIdToken(t: Test, token: string, requested: URLSearchParams): Promise<JWTPayload> {
    const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
    const kids = keys.map(({ kid }: { kid?: string }) => kid)
    t.ok(kids.every(Boolean) && new Set(kids).size === kids.length, 'every key has a unique kid')
    const now = server.clock.now()
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys }), {
      issuer: ISSUER,
      audience: String(requested.get('client_id')),
      algorithms: ['RS256'],
      requiredClaims: ['sub', 'exp', 'iat', 'auth_time', 'acr', 'at_hash'],
      currentDate: new Date(now * 1000),
    })
    t.ok(kids.includes(protectedHeader.kid), 'the kid is in the JWKS')
    t.equal(payload.iat, now)
    t.ok(Number(payload.exp) > now && Number(payload.exp) <= now + 3600)
    t.match(payload.sub, /^[\x21-\x7E]{1,255}$/)
    t.equal(payload.nonce ?? null, requested.get('nonce'), 'nonce as it was sent, or none')
    return payload
  }

  return suite
}
