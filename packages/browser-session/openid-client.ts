/** The authorization server as a client sees it. The checks that the specifications require are made by oauth4webapi. */
import * as oauth from 'oauth4webapi'
import { BrowserSessionError } from './errors.ts'
import { isLoopback } from './loopback.ts'
import type { Settings } from './options.ts'
import type { IdTokenClaims, TokenSet } from './tokens.ts'

/** What binds an authorization response to its request (RFC 9700 §2.1.1, §4.7; OpenID Connect Core §3.1.2.1). */
export interface CallbackChecks {
  readonly state: string
  readonly nonce: string
  /** RFC 7636 §4.1. */
  readonly codeVerifier: string
}

export interface OpenIdClient {
  /** Returns the URL that begins a sign-in. @throws {BrowserSessionError} ISSUER_UNAVAILABLE */
  authorizationUrl(checks: CallbackChecks): Promise<string>
  /**
   * Checks the parameters of the callback, and exchanges the code for tokens.
   * @throws {BrowserSessionError} SIGN_IN_REFUSED, SIGN_IN_FAILED, ISSUER_UNAVAILABLE
   */
  exchange(parameters: URLSearchParams, checks: CallbackChecks): Promise<TokenSet & { claims: IdTokenClaims }>
  /**
   * Returns `ended` if the refresh token is no longer valid (RFC 6749 §5.2, `invalid_grant`).
   * @throws {BrowserSessionError} ISSUER_UNAVAILABLE if the issuer failed; REFRESH_FAILED if it gave another answer
   */
  refresh(refreshToken: string, subject: string): Promise<TokenSet | 'ended'>
  /** Revokes a refresh token (RFC 7009); does nothing if the issuer has no endpoint for it. */
  revoke(refreshToken: string): Promise<void>
  /** Returns the URL for RP-initiated logout; undefined if the issuer has no endpoint for it. */
  logoutUrl(idToken: string | undefined): Promise<string | undefined>
}

/** How long metadata is cached. */
const METADATA_TTL_MS = 3_600_000

type ClientSettings = Pick<
  Settings,
  | 'issuer'
  | 'clientId'
  | 'clientSecret'
  | 'privateKey'
  | 'origin'
  | 'paths'
  | 'afterLogout'
  | 'scope'
  | 'authorizationParameters'
  | 'timeoutMs'
  | 'fetch'
>

export function createOpenIdClient(settings: ClientSettings): OpenIdClient {
  const url = new URL(settings.issuer)
  const client: oauth.Client = { client_id: settings.clientId, [oauth.clockTolerance]: 30 }
  const redirectUri = settings.origin + settings.paths.callback
  const requestOptions = () => ({
    signal: AbortSignal.timeout(settings.timeoutMs),
    [oauth.customFetch]: settings.fetch as (url: string, options: object) => Promise<Response>,
    [oauth.allowInsecureRequests]: url.protocol === 'http:' && isLoopback(url.hostname),
  })

  let cached: { readonly at: number; readonly server: Promise<oauth.AuthorizationServer> } | undefined
  function metadata(): Promise<oauth.AuthorizationServer> {
    if (cached !== undefined && performance.now() - cached.at < METADATA_TTL_MS) return cached.server
    const server = discover()
    const entry = { at: performance.now(), server }
    cached = entry
    // A failure must not be cached.
    server.catch(() => {
      if (cached === entry) cached = undefined
    })
    return server
  }

  async function discover(): Promise<oauth.AuthorizationServer> {
    try {
      let response = await oauth.discoveryRequest(url, { ...requestOptions(), algorithm: 'oidc' })
      if (response.status === 404)
        response = await oauth.discoveryRequest(url, { ...requestOptions(), algorithm: 'oauth2' })
      return await oauth.processDiscoveryResponse(url, response)
    } catch (error) {
      throw new BrowserSessionError('ISSUER_UNAVAILABLE', error)
    }
  }

  function authentication(server: oauth.AuthorizationServer): oauth.ClientAuth {
    if (settings.privateKey !== undefined) return oauth.PrivateKeyJwt(settings.privateKey)
    if (settings.clientSecret === undefined) return oauth.None()
    const offered = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    return offered.includes('client_secret_basic')
      ? oauth.ClientSecretBasic(settings.clientSecret)
      : oauth.ClientSecretPost(settings.clientSecret)
  }

  /**
   * Verifies the signature of the ID token too, although TLS would be enough (OpenID Connect Core §3.1.3.7 no. 6): it
   * only costs one cached JWKS.
   */
  async function tokenSet(
    server: oauth.AuthorizationServer,
    response: Response,
    answer: oauth.TokenEndpointResponse,
  ) {
    const claims = oauth.getValidatedIdTokenClaims(answer)
    if (claims !== undefined)
      await oauth.validateApplicationLevelSignature(server, response, requestOptions())
    if (answer.token_type !== 'bearer') throw new TypeError('sender-constrained tokens are not supported')
    return {
      accessToken: answer.access_token,
      expiresIn: answer.expires_in,
      scope: answer.scope,
      refreshToken: answer.refresh_token,
      idToken: answer.id_token,
      claims: claims as IdTokenClaims | undefined,
    }
  }

  return {
    async authorizationUrl({ state, nonce, codeVerifier }) {
      const server = await metadata()
      if (server.authorization_endpoint === undefined) throw new BrowserSessionError('ISSUER_UNAVAILABLE')
      const target = new URL(server.authorization_endpoint)
      const parameters = {
        ...settings.authorizationParameters,
        response_type: 'code',
        client_id: settings.clientId,
        redirect_uri: redirectUri,
        scope: settings.scope,
        state,
        nonce,
        code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
      }
      for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value)
      return target.href
    },

    async exchange(parameters, { state, nonce, codeVerifier }) {
      const server = await metadata()
      try {
        const checked = oauth.validateAuthResponse(server, client, parameters, state)
        const auth = authentication(server)
        const response = await oauth.authorizationCodeGrantRequest(
          server,
          client,
          auth,
          checked,
          redirectUri,
          codeVerifier,
          requestOptions(),
        )
        const copy = response.clone()
        const answer = await oauth
          .processAuthorizationCodeResponse(server, client, response, {
            expectedNonce: nonce,
            requireIdToken: true,
          })
          .catch((error) => failExchange(error, copy.status))
        const tokens = await tokenSet(server, response, answer)
        if (tokens.claims === undefined) throw new TypeError('the response has no ID token')
        return { ...tokens, claims: tokens.claims }
      } catch (error) {
        if (error instanceof BrowserSessionError) throw error
        if (error instanceof oauth.AuthorizationResponseError)
          throw new BrowserSessionError('SIGN_IN_REFUSED', error)
        throw new BrowserSessionError(isUnanswered(error) ? 'ISSUER_UNAVAILABLE' : 'SIGN_IN_FAILED', error)
      }
    },

    async refresh(refreshToken, subject) {
      const server = await metadata()
      const attempt = () =>
        oauth.refreshTokenGrantRequest(server, client, authentication(server), refreshToken, requestOptions())
      let status: number | undefined
      try {
        // The response may have been lost. An issuer that allows a retry gives the same tokens again.
        const response = await attempt().catch((error) =>
          isUnanswered(error) ? attempt() : Promise.reject(error),
        )
        status = response.status
        const answer = await oauth.processRefreshTokenResponse(server, client, response)
        const tokens = await tokenSet(server, response, answer)
        // OpenID Connect Core §12.2: the ID token of another user does not continue this session.
        return tokens.claims !== undefined && tokens.claims.sub !== subject ? 'ended' : tokens
      } catch (error) {
        if (error instanceof oauth.ResponseBodyError && error.error === 'invalid_grant') return 'ended'
        throw new BrowserSessionError(hasFailed(status) ? 'ISSUER_UNAVAILABLE' : 'REFRESH_FAILED', error)
      }
    },

    async revoke(refreshToken) {
      const server = await metadata()
      if (server.revocation_endpoint === undefined) return
      const hint = { additionalParameters: { token_type_hint: 'refresh_token' } }
      const auth = authentication(server)
      const request = await oauth.revocationRequest(server, client, auth, refreshToken, {
        ...requestOptions(),
        ...hint,
      })
      await oauth.processRevocationResponse(request)
    },

    async logoutUrl(idToken) {
      const { end_session_endpoint: endpoint } = await metadata()
      if (endpoint === undefined) return undefined
      const target = new URL(endpoint)
      target.searchParams.set('client_id', settings.clientId)
      target.searchParams.set('post_logout_redirect_uri', settings.origin + settings.afterLogout)
      if (idToken !== undefined) target.searchParams.set('id_token_hint', idToken)
      return target.href
    },
  }
}

/** If the issuer itself has failed, the error says nothing about the code, so the user may try again. */
function failExchange(error: unknown, status: number): never {
  throw new BrowserSessionError(hasFailed(status) ? 'ISSUER_UNAVAILABLE' : 'SIGN_IN_FAILED', error)
}

/** Whether there is no response, or one that says nothing about the request: a 5xx status, or 429 (RFC 6585 §4). */
function hasFailed(status: number | undefined): boolean {
  return status === undefined || status >= 500 || status === 429
}

/** Whether `fetch` itself failed: no connection, a broken one, or a timeout. Errors of oauth4webapi have a code. */
function isUnanswered(error: unknown): boolean {
  if (error instanceof DOMException) return error.name === 'TimeoutError' || error.name === 'AbortError'
  return error instanceof TypeError && !('code' in error) && error.message === 'fetch failed'
}
