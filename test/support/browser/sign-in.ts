/** Clients that users sign in with, and common steps at the authorization endpoint. */
import { createHash } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import type { Client } from '../../../src/store/contracts/clients.ts'
import type { User } from '../../../src/store/contracts/users.ts'
import type { Store } from '../../../src/store/index.ts'
import type { TokenResponse } from '../../../src/tokens/issue.ts'
import { basic, type Form, post } from '../server/requests.ts'
import { client, PASSWORD, seed, user } from '../server/seed.ts'
import type { TestServer } from '../server/server.ts'
import { type Browser, openBrowser, type Page } from './browser.ts'

export const WEB_REDIRECT = 'https://app.test/callback'
export const SPA_REDIRECT = 'https://spa.test/'
const NATIVE_LOOPBACK = 'http://127.0.0.1/callback'
export const NATIVE_SCHEME = 'com.example.app:/callback'
export const OWN_REDIRECT = 'https://own.test/callback'

/** A valid verifier, the same for all tests, and its challenge (RFC 7636 §4). */
export const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')
export const CHALLENGE = challengeOf(VERIFIER)

const PROTOCOL = ['openid', 'profile', 'email', 'roles', 'offline_access']

/** Where the responses of each client go. */
export const REDIRECTS: Readonly<Record<string, string>> = {
  web: WEB_REDIRECT,
  lax: WEB_REDIRECT,
  spa: SPA_REDIRECT,
  native: NATIVE_LOOPBACK,
  own: OWN_REDIRECT,
}

export function codeClient(overrides: Partial<Client> & Pick<Client, 'id'>): Client {
  return client({
    name: `The ${overrides.id} application`,
    grants: ['authorization_code', 'refresh_token'],
    scopes: [...PROTOCOL, 'orders:read', 'orders:write', 'stock:read'],
    redirectUris: [WEB_REDIRECT],
    ...overrides,
  })
}

/**
 * In addition to `seed`: `web`, confidential; `lax`, the same, registered with optional PKCE; `spa`, public, at an https URI;
 * `native`, public, on a loopback port or a custom scheme; `own`, first-party; and bob, who has no role.
 */
export async function seedUsers(store: Store): Promise<{ alice: User; bob: User }> {
  const { alice } = await seed(store)
  const bob = await user({ username: 'bob', roles: [] })
  await store.users.insert(bob)
  for (const one of [
    codeClient({ id: 'web' }),
    codeClient({ id: 'lax', pkce: 'optional' }),
    codeClient({ id: 'spa', authMethod: 'none', redirectUris: [SPA_REDIRECT] }),
    codeClient({ id: 'native', authMethod: 'none', redirectUris: [NATIVE_LOOPBACK, NATIVE_SCHEME] }),
    codeClient({ id: 'own', firstParty: true, redirectUris: [OWN_REDIRECT] }),
  ]) {
    await store.clients.insert(one)
  }
  return { alice, bob }
}

/** undefined removes a parameter; a list repeats it. */
export type Overrides = Readonly<Record<string, string | readonly string[] | undefined>>

export const AUTHORIZE = '/oauth2/authorize'

/** The parameters of a valid request, changed by the overrides. */
export function authorizeParams(overrides: Overrides = {}): URLSearchParams {
  const clientId = typeof overrides.client_id === 'string' ? overrides.client_id : 'web'
  const all: Overrides = {
    client_id: clientId,
    response_type: 'code',
    redirect_uri: REDIRECTS[clientId] ?? WEB_REDIRECT,
    scope: 'openid orders:read',
    state: 'the state',
    nonce: 'the-nonce',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...overrides,
  }
  return new URLSearchParams(
    Object.entries(all).flatMap(([name, value]) =>
      (value === undefined ? [] : ([value].flat() as string[])).map((one): [string, string] => [name, one]),
    ),
  )
}

export const authorizeUrl = (overrides: Overrides = {}): string =>
  `${AUTHORIZE}?${authorizeParams(overrides)}`

export interface SignInOptions {
  readonly username?: string
  readonly password?: string
  /** The button pressed on the consent page. */
  readonly consent?: 'allow' | 'deny'
  readonly remember?: boolean
  /** Instead of the URL that the overrides make. */
  readonly url?: string
}

/** Goes through login and consent, and ends at the first other page, or at the client. */
export async function completePages(
  browser: Browser,
  start: Page,
  { username = 'alice', password = PASSWORD, consent = 'allow', remember = false }: SignInOptions = {},
): Promise<Page> {
  let page = start
  if (page.path.endsWith('/login') && page.status === 200) {
    page = await browser.submit(page, { form: '/login', fill: { username, password } })
  }
  if (page.path.endsWith('/consent') && page.status === 200) {
    const check = remember ? { check: ['remember'] } : {}
    page = await browser.submit(page, { form: '/consent', press: consent, ...check })
  }
  return page
}

interface Answered {
  readonly page: Page
  readonly url: string
  readonly params: URLSearchParams
  readonly code: string
}

/** A whole sign-in that must end with a code. */
export async function signIn(
  browser: Browser,
  overrides: Overrides = {},
  options: SignInOptions = {},
): Promise<Answered> {
  const page = await completePages(
    browser,
    await browser.open(options.url ?? authorizeUrl(overrides)),
    options,
  )
  const code = page.away?.params.get('code')
  if (!page.away || !code) {
    throw new Error(`no code but ${page.status} ${page.path} ${page.away?.url ?? page.body.slice(0, 2000)}`)
  }
  return { page, url: page.away.url, params: page.away.params, code }
}

/** The code of a whole sign-in in a new browser. */
export const freshCode = async (
  server: TestServer,
  overrides: Overrides = {},
  options: SignInOptions = {},
): Promise<string> => (await signIn(openBrowser(server), overrides, options)).code

interface RedeemOptions {
  /** The redeeming client; public clients only send their client_id. */
  readonly as?: string
  /** '' omits a parameter. */
  readonly form?: Form
}

/** The token request for a code, as its client would make it, changed by the form. */
export function redeem(
  server: Pick<TestServer, 'inject'>,
  code: string,
  { as = 'web', form = {} }: RedeemOptions = {},
): Promise<LightMyRequestResponse> {
  const all = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECTS[as] ?? WEB_REDIRECT,
    code_verifier: VERIFIER,
    ...form,
  }
  return as === 'spa' || as === 'native'
    ? post(server, '/oauth2/token', { client_id: as, ...all })
    : post(server, '/oauth2/token', all, { authorization: basic(as) })
}

export interface SignedInTokens extends TokenResponse {
  readonly refresh_token: string
  readonly id_token: string
}

/** @throws Error unless it is a token response */
export function tokensOf(answer: LightMyRequestResponse): SignedInTokens {
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json<SignedInTokens>()
}
