/**
 * An application that users sign in to, as its developers would write it: a separate program with a standard library,
 * on another site than the issuer. It shows what it received, as JSON.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as oauth from 'oauth4webapi'
import type { Test } from 'tap'
import { SECRET } from '../server/seed.ts'

export interface ClientApp {
  readonly origin: string
  readonly redirectUri: string
  readonly signedOutUri: string
  /** Where its sign-in begins; the parameters are added to the authorization request. */
  start(parameters?: Readonly<Record<string, string>>): string
  /** Asks the issuer to sign the user out, with the last ID token. */
  readonly signOut: string
  /** A page that shows this URL in a frame. */
  framing(url: string): string
  /** Where the callback redirects the browser when done; null: it shows the result. */
  afterwards: string | null
}

interface ClientAppOptions {
  readonly issuer: string
  readonly clientId: string
  /** How far the issuer’s clock is from ours. */
  readonly skew: () => number
  /** The origin of the redirect URI and every other URL, e.g. `http://127.0.0.1`. */
  readonly host?: string
}

interface Started {
  readonly nonce: string
  readonly verifier: string
  readonly maxAge: number | undefined
}

const insecure = { [oauth.allowInsecureRequests]: true }

export async function clientApp(t: Test, options: ClientAppOptions): Promise<ClientApp> {
  const { issuer, clientId, skew, host = 'http://127.0.0.1' } = options
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error & { error?: string }) => {
      page(response, 'Error', { error: error.error ?? error.message })
    })
  }).listen(0, host.includes('[') ? '::1' : '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `${host}:${(server.address() as AddressInfo).port}`
  const started = new Map<string, Started>()
  let idToken: string | undefined
  let known: oauth.AuthorizationServer | undefined

  const discovered = async () => {
    const url = new URL(issuer)
    known ??= await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
    return known
  }

  const app: ClientApp = {
    origin,
    redirectUri: `${origin}/callback`,
    signedOutUri: `${origin}/signed-out`,
    start: (parameters = {}) => `${origin}/start?${new URLSearchParams(parameters)}`,
    signOut: `${origin}/sign-out`,
    framing: (url) => `${origin}/framing?${new URLSearchParams({ url })}`,
    afterwards: null,
  }
  return app

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', origin)
    const { pathname, searchParams } = url
    const as = await discovered()
    if (pathname === '/start') return redirect(response, await authorizationUrl(as, searchParams))
    if (pathname === '/callback') return callback(as, request, response, searchParams)
    if (pathname === '/sign-out') {
      const target = new URL(as.end_session_endpoint ?? '')
      target.searchParams.set('id_token_hint', idToken ?? '')
      target.searchParams.set('post_logout_redirect_uri', app.signedOutUri)
      target.searchParams.set('state', 'bye')
      return redirect(response, target.href)
    }
    if (pathname === '/framing') {
      const framed = (searchParams.get('url') ?? '').replaceAll('&', '&amp;').replaceAll('"', '&quot;')
      return html(response, `<h1>Win a prize</h1><iframe src="${framed}"></iframe>`)
    }
    if (pathname === '/signed-out') return page(response, 'Bye', Object.fromEntries(searchParams))
    if (pathname === '/home') return page(response, 'Home', {})
    response.writeHead(204).end()
  }

  async function authorizationUrl(as: oauth.AuthorizationServer, parameters: URLSearchParams) {
    const state = oauth.generateRandomState()
    const nonce = oauth.generateRandomNonce()
    const verifier = oauth.generateRandomCodeVerifier()
    const maxAge = parameters.get('max_age')
    started.set(state, { nonce, verifier, maxAge: maxAge === null ? undefined : Number(maxAge) })
    const target = new URL(as.authorization_endpoint ?? '')
    target.search = new URLSearchParams({
      client_id: clientId,
      redirect_uri: app.redirectUri,
      response_type: 'code',
      scope: 'openid profile email offline_access orders:read',
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...Object.fromEntries(parameters),
    }).toString()
    return target.href
  }

  async function callback(
    as: oauth.AuthorizationServer,
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
  ): Promise<void> {
    if (app.afterwards !== null) return redirect(response, app.afterwards)
    const given = request.method === 'POST' ? new URLSearchParams(await textOf(request)) : query
    const state = given.get('state') ?? ''
    const { nonce = '', verifier = '', maxAge } = started.get(state) ?? {}
    // After going back in the history, the response has been used already.
    if (!started.delete(state)) return page(response, 'Error', { error: 'unknown state' })
    const client: oauth.Client = { client_id: clientId, [oauth.clockSkew]: skew() }
    const answered = oauth.validateAuthResponse(as, client, given, state)
    const tokens = await oauth.processAuthorizationCodeResponse(
      as,
      client,
      await oauth.authorizationCodeGrantRequest(
        as,
        client,
        oauth.ClientSecretBasic(SECRET),
        answered,
        app.redirectUri,
        verifier,
        insecure,
      ),
      { expectedNonce: nonce, requireIdToken: true, ...(maxAge === undefined ? {} : { maxAge }) },
    )
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    idToken = tokens.id_token
    const user = await oauth.processUserInfoResponse(
      as,
      client,
      claims?.sub ?? '',
      await oauth.userInfoRequest(as, client, tokens.access_token, insecure),
    )
    page(response, 'Signed in', { method: request.method, scope: tokens.scope, claims, user })
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function redirect(response: ServerResponse, to: string): void {
  response.writeHead(302, { location: to }).end()
}

function html(response: ServerResponse, body: string): void {
  const icon = '<link rel="icon" href="data:,">'
  response
    .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    .end(`<!doctype html><html lang="en"><title>An app</title>${icon}${body}</html>`)
}

function page(response: ServerResponse, heading: string, result: object): void {
  html(response, `<h1>${heading}</h1><pre>${JSON.stringify(result).replaceAll('<', '&lt;')}</pre>`)
}
