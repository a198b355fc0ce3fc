/**
 * What nearly every module of the OpenID Foundation’s FAPI 2.0 plans does (docs/internals/conformance.md): two clients with the profile,
 * private_key_jwt and DPoP push a request, send a user through the pages, and redeem the code.
 */
import type { LightMyRequestResponse } from 'fastify'
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { withProfile } from '../../../src/oauth/client-registration/fapi2.ts'
import { checkRegistration } from '../../../src/oauth/client-registration/registration.ts'
import type { Client } from '../../../src/store/contracts/clients.ts'
import { type Browser, openBrowser, type Page } from '../browser/browser.ts'
import {
  authorizeParams,
  codeClient,
  completePages,
  type Overrides,
  type SignInOptions,
  seedUsers,
  VERIFIER,
  WEB_REDIRECT,
} from '../browser/sign-in.ts'
import { proof } from '../dpop/proofs.ts'
import { asserting, assertion, type ClientKey, clientKey, compact } from '../server/jws.ts'
import { type Form, post } from '../server/requests.ts'
import { ISSUER, type TestServer, testServer } from '../server/server.ts'

export const PAR = '/oauth2/par'
export const TOKEN = '/oauth2/token'
const USERINFO = '/oauth2/userinfo'

/** A client, the key of its assertions and request objects, and the key of its DPoP proofs. */
export interface FapiClient {
  readonly id: string
  readonly key: ClientKey
  readonly dpop: ClientKey
}

interface Sending {
  readonly client?: FapiClient
  /** Changes of the client assertion; null leaves it out. */
  readonly assertion?: Record<string, unknown> | null
  readonly assertionHeader?: Record<string, unknown>
  /** The key of the DPoP proof; null leaves the proof out. */
  readonly dpop?: ClientKey | null
  /** Changes of the claims of the proof. */
  readonly proof?: Record<string, unknown>
  readonly form?: Form
}

export interface FapiTokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly id_token: string
  readonly token_type: string
}

export async function fapiSuite(t: Test, registration: Partial<Client> = {}) {
  const server = await testServer({ settings: { ALGORITHMS: 'ES256 RS256' } })
  t.teardown(() => server.close())
  const { alice } = await seedUsers(server.store)
  const now = () => server.clock.now()

  async function register(id: string, alg: 'PS256' | 'ES256' | 'EdDSA'): Promise<FapiClient> {
    const key = clientKey(alg, `${id} key`)
    const { revision, ...client } = withProfile(
      codeClient({
        id,
        authMethod: 'private_key_jwt',
        secrets: [],
        jwks: { keys: [key.jwk] },
        redirectUris: [WEB_REDIRECT, `${WEB_REDIRECT}?dummy1=lorem&dummy2=ipsum`],
        profile: 'fapi2',
        ...registration,
      }),
      new Set(),
      ['ES256'],
    )
    checkRegistration(client)
    await server.store.clients.insert(client)
    return { id, key, dpop: clientKey('ES256') }
  }

  const first = await register('first', 'PS256')
  const second = await register('second', 'ES256')

  /** A request of a client to one of the endpoints at which it authenticates. */
  function send(path: string, form: Form, options: Sending = {}): Promise<LightMyRequestResponse> {
    const { client = first, assertion: claims = {}, assertionHeader = {}, dpop = client.dpop } = options
    const header = assertionHeader
    const signed = { client: client.id, key: client.key, audience: ISSUER, now: now(), header }
    const credentials = claims === null ? {} : asserting(assertion({ ...signed, claims }))
    const dpopHeader =
      dpop === null
        ? {}
        : {
            dpop: proof(
              { key: dpop, method: 'POST', url: ISSUER + path, now: now() },
              { claims: options.proof ?? {} },
            ),
          }
    return post(server, path, { ...credentials, ...form, ...options.form }, dpopHeader)
  }

  const parametersOf = (overrides: Overrides, client: FapiClient): Form => {
    const form: Record<string, string[]> = {}
    for (const [name, value] of authorizeParams({
      client_id: client.id,
      redirect_uri: WEB_REDIRECT,
      ...overrides,
    }))
      form[name] = [...(form[name] ?? []), value]
    return form
  }

  const push = (overrides: Overrides = {}, options: Sending = {}) =>
    send(PAR, parametersOf(overrides, options.client ?? first), { dpop: null, ...options })

  async function pushed(overrides: Overrides = {}, options: Sending = {}): Promise<string> {
    const answer = await push(overrides, options)
    if (answer.statusCode !== 201) throw new Error(`${answer.statusCode} ${answer.body}`)
    return answer.json<{ request_uri: string }>().request_uri
  }

  const authorizeUrl = (request_uri: string, client = first, more: Record<string, string> = {}) =>
    `/oauth2/authorize?${new URLSearchParams({ client_id: client.id, request_uri, ...more })}`

  /** Through the pages to the end. */
  async function visit(
    requestUri: string,
    {
      client = first,
      at = openBrowser(server),
      ...options
    }: SignInOptions & { readonly client?: FapiClient; readonly at?: Browser } = {},
  ): Promise<Page> {
    return completePages(at, await at.open(authorizeUrl(requestUri, client)), options)
  }

  /** The parameters of the response to a pushed request. */
  async function answered(overrides: Overrides = {}, options: Sending = {}): Promise<URLSearchParams> {
    const { client = first } = options
    const page = await visit(await pushed(overrides, options), { client })
    if (!page.away) throw new Error(`no response but ${page.status} ${page.path} ${page.body.slice(0, 500)}`)
    return page.away.params
  }

  async function codeFor(overrides: Overrides = {}, options: Sending = {}): Promise<string> {
    const params = await answered(overrides, options)
    const code = params.get('code')
    if (code === null) throw new Error(`no code but ${params}`)
    return code
  }

  const redeem = (code: string, options: Sending = {}) =>
    send(
      TOKEN,
      { grant_type: 'authorization_code', code, redirect_uri: WEB_REDIRECT, code_verifier: VERIFIER },
      options,
    )

  const refresh = (token: string, options: Sending = {}) =>
    send(TOKEN, { grant_type: 'refresh_token', refresh_token: token }, options)

  function tokensOf(answer: LightMyRequestResponse): FapiTokens {
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
    return answer.json<FapiTokens>()
  }

  const signIn = async (overrides: Overrides = {}, options: Sending = {}): Promise<FapiTokens> =>
    tokensOf(await redeem(await codeFor(overrides, options), options))

  /** @param scheme of the Authorization header @param key null sends no proof */
  function userinfo(
    token: string,
    { key = first.dpop, scheme = 'DPoP', claims = {} }: UserinfoOptions = {},
  ): Promise<LightMyRequestResponse> {
    const request = { method: 'GET', url: ISSUER + USERINFO, now: now(), accessToken: token }
    return server.inject({
      url: USERINFO,
      headers: {
        authorization: `${scheme} ${token}`,
        ...(key === null ? {} : { dpop: proof({ ...request, key }, { claims }) }),
      },
    })
  }

  async function idTokenClaims(token: string, client = first): Promise<JWTPayload> {
    const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys }), {
      issuer: ISSUER,
      audience: client.id,
      algorithms: ['PS256', 'ES256', 'EdDSA'],
      currentDate: new Date(now() * 1000),
    })
    return payload
  }

  /** A signed request object with these parameters (RFC 9101 §4). undefined removes a claim. */
  function requestObject(
    claims: Record<string, unknown> = {},
    { client = first, key = client.key, header = {}, signedAs = key.alg }: RequestObjectOptions = {},
  ): string {
    const all = {
      iss: client.id,
      aud: ISSUER,
      nbf: now(),
      iat: now(),
      exp: now() + 300,
      ...Object.fromEntries(authorizeParams({ client_id: client.id, redirect_uri: WEB_REDIRECT })),
      ...claims,
    }
    const jose = { alg: key.alg, kid: key.kid, typ: 'oauth-authz-req+jwt', ...header }
    return compact(jose, all, key.privateKey, signedAs)
  }

  /** Pushes a request object, and outside it only what `outside` says. */
  const pushObject = (request: string, options: Sending = {}, outside: Form = {}) =>
    send(PAR, { request, ...outside }, { dpop: null, ...options })

  return {
    server,
    alice,
    first,
    second,
    send,
    push,
    pushed,
    authorizeUrl,
    visit,
    answered,
    codeFor,
    redeem,
    refresh,
    tokensOf,
    signIn,
    userinfo,
    idTokenClaims,
    requestObject,
    pushObject,
  }
}

interface UserinfoOptions {
  readonly key?: ClientKey | null
  readonly scheme?: string
  readonly claims?: Record<string, unknown>
}

interface RequestObjectOptions {
  readonly client?: FapiClient
  readonly key?: ClientKey
  readonly header?: Record<string, unknown>
  readonly signedAs?: string
}

/** [status, error] of an answer. */
export const outcome = (answer: LightMyRequestResponse): readonly [number, string | undefined] => [
  answer.statusCode,
  answer.json<{ error?: string }>().error,
]

export const jsonOf = (server: Pick<TestServer, 'inject'>, url: string): Promise<Record<string, unknown>> =>
  server.inject({ url }).then((answer) => answer.json())
