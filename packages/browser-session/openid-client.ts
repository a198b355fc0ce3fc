/** The authorization server, as a client sees it. Each check that the specifications ask for is oauth4webapi's. */
import * as oauth from 'oauth4webapi'
import { BrowserSessionError } from './errors.ts'
import { isLoopback, type Settings } from './options.ts'
import type { Claims } from './session.ts'

export interface TokenSet {
  readonly accessToken: string
  readonly expiresIn?: number | undefined
  readonly scope?: string | undefined
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
  readonly claims?: Claims | undefined
}

/** What binds an authorization response to the request that asked for it. */
export interface Proofs {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
}

export interface Issuer {
  authorizationUrl(proofs: Proofs): Promise<string>
  /** The callback's parameters for tokens. @throws {BrowserSessionError} */
  exchange(parameters: URLSearchParams, proofs: Proofs): Promise<TokenSet & { claims: Claims }>
  /** `ended` if the issuer no longer knows the token (RFC 6749 §5.2: invalid_grant). @throws {BrowserSessionError} */
  refresh(refreshToken: string, subject: string): Promise<TokenSet | 'ended'>
  /** RFC 7009; nothing if the issuer does not offer it. */
  revoke(refreshToken: string): Promise<void>
  /** RP-initiated logout; undefined if the issuer does not offer it. */
  logoutUrl(idToken: string | undefined): Promise<string | undefined>
}

/** How long metadata is taken for true. */
const METADATA_MS = 3_600_000

type Wanted = Pick<
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

export function issuerOf(settings: Wanted): Issuer {
  const url = new URL(settings.issuer)
  const client: oauth.Client = { client_id: settings.clientId, [oauth.clockTolerance]: 30 }
  const redirectUri = settings.origin + settings.paths.callback
  const http = () => ({
    signal: AbortSignal.timeout(settings.timeoutMs),
    [oauth.customFetch]: settings.fetch as (url: string, options: object) => Promise<Response>,
    [oauth.allowInsecureRequests]: url.protocol === 'http:' && isLoopback(url.hostname),
  })

  let known: { readonly at: number; readonly server: Promise<oauth.AuthorizationServer> } | undefined
  function metadata(): Promise<oauth.AuthorizationServer> {
    if (known !== undefined && performance.now() - known.at < METADATA_MS) return known.server
    const server = discover()
    const mine = { at: performance.now(), server }
    known = mine
    // What failed must not be remembered.
    server.catch(() => {
      if (known === mine) known = undefined
    })
    return server
  }

  async function discover(): Promise<oauth.AuthorizationServer> {
    try {
      let response = await oauth.discoveryRequest(url, { ...http(), algorithm: 'oidc' })
      if (response.status === 404)
        response = await oauth.discoveryRequest(url, { ...http(), algorithm: 'oauth2' })
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

  /** The signature too, though TLS would do (OpenID Connect Core §3.1.3.7 no. 6): it costs one cached key set. */
  async function tokenSet(
    server: oauth.AuthorizationServer,
    response: Response,
    answer: oauth.TokenEndpointResponse,
  ) {
    const claims = oauth.getValidatedIdTokenClaims(answer)
    if (claims !== undefined) await oauth.validateApplicationLevelSignature(server, response, http())
    if (answer.token_type !== 'bearer') throw new TypeError('a token that is bound to a key cannot be used')
    return {
      accessToken: answer.access_token,
      expiresIn: answer.expires_in,
      scope: answer.scope,
      refreshToken: answer.refresh_token,
      idToken: answer.id_token,
      claims: claims as Claims | undefined,
    }
  }

  return {
    async authorizationUrl({ state, nonce, verifier }) {
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
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }
      for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value)
      return target.href
    },

    async exchange(parameters, { state, nonce, verifier }) {
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
          verifier,
          http(),
        )
        const copy = response.clone()
        const answer = await oauth
          .processAuthorizationCodeResponse(server, client, response, {
            expectedNonce: nonce,
            requireIdToken: true,
          })
          .catch((error) => refuse(error, copy.status))
        const tokens = await tokenSet(server, response, answer)
        if (tokens.claims === undefined) throw new TypeError('no ID token')
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
        oauth.refreshTokenGrantRequest(server, client, authentication(server), refreshToken, http())
      try {
        // The answer may have been lost on the way; an issuer with a retry window gives the same one again.
        const response = await attempt().catch((error) =>
          isUnanswered(error) ? attempt() : Promise.reject(error),
        )
        const answer = await oauth.processRefreshTokenResponse(server, client, response)
        const tokens = await tokenSet(server, response, answer)
        // OpenID Connect Core §12.2: somebody else's token is no renewal of this session.
        return tokens.claims !== undefined && tokens.claims.sub !== subject ? 'ended' : tokens
      } catch (error) {
        if (error instanceof oauth.ResponseBodyError && error.error === 'invalid_grant') return 'ended'
        throw new BrowserSessionError('ISSUER_UNAVAILABLE', error)
      }
    },

    async revoke(refreshToken) {
      const server = await metadata()
      if (server.revocation_endpoint === undefined) return
      const hint = { additionalParameters: { token_type_hint: 'refresh_token' } }
      const auth = authentication(server)
      const request = await oauth.revocationRequest(server, client, auth, refreshToken, {
        ...http(),
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

/** A 5xx says nothing about the code; whoever signs in may try again. */
function refuse(error: unknown, status: number): never {
  throw new BrowserSessionError(status >= 500 ? 'ISSUER_UNAVAILABLE' : 'SIGN_IN_FAILED', error)
}

/** `fetch` itself failed: no connection, cut, or too late. oauth4webapi's own errors carry a code. */
function isUnanswered(error: unknown): boolean {
  if (error instanceof DOMException) return error.name === 'TimeoutError' || error.name === 'AbortError'
  return error instanceof TypeError && !('code' in error) && error.message === 'fetch failed'
}
