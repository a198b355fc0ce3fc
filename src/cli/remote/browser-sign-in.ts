/**
 * A person signs in with a browser: authorization code with PKCE on a loopback port (RFC 8252). openid-client checks `state`, `iss`
 * (RFC 9207 §2.4) and the ID token. Must not know where tokens are kept.
 */
import * as oidc from 'openid-client'
import { ADMIN_SCOPES } from '../../admin/built-ins.ts'
import { isLoopbackHost } from '../../loopback.ts'
import type { Seconds } from '../../system.ts'
import { span } from '../output.ts'
import { asking } from './authorization-server.ts'
import { listenForCallback } from './callback.ts'
import { SignInFailed } from './errors.ts'

export interface BrowserSignIn {
  /** Shows the address at which the person signs in, and opens it in a browser if there is one. */
  readonly announce: (url: string) => void
  readonly timeout: Seconds
}

/** @throws {ServerUnreachable | SignInFailed} */
export async function signInWithBrowser(
  configuration: oidc.Configuration,
  server: string,
  { announce, timeout }: BrowserSignIn,
) {
  assertWebPage(configuration, server)
  const callback = await listenForCallback()
  const timer = deadline(timeout)
  try {
    const verifier = oidc.randomPKCECodeVerifier()
    const state = oidc.randomState()
    const nonce = oidc.randomNonce()
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: callback.redirectUri,
      scope: ['openid', ...Object.keys(ADMIN_SCOPES)].join(' '),
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    })
    const arrival = callback.arrival(state)
    announce(url.href)
    const { url: response, reply } = await Promise.race([arrival, timer.passed])
    try {
      const tokens = await asking(server, () =>
        oidc.authorizationCodeGrant(configuration, response, {
          pkceCodeVerifier: verifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        }),
      )
      await reply({ ok: true, text: 'You can close this window, and go on in the terminal.' })
      return tokens
    } catch (error) {
      await reply({ ok: false, text: 'The terminal says why. You can close this window.' })
      throw error
    }
  } finally {
    timer.stop()
    callback.close()
  }
}

/** The metadata chooses the address, and what opens addresses also opens files and programs. */
function assertWebPage(configuration: oidc.Configuration, server: string): void {
  const { authorization_endpoint: endpoint = '' } = configuration.serverMetadata()
  const { protocol, hostname } = URL.parse(endpoint) ?? { protocol: '', hostname: '' }
  if (protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))) return
  throw new SignInFailed(`the authorization endpoint of ${server} is not https`)
}

function deadline(seconds: Seconds) {
  let stop = () => {}
  const passed = new Promise<never>((_, reject) => {
    const timer = setTimeout(
      () => reject(new SignInFailed(`no one signed in within ${span(seconds)}`)),
      seconds * 1000,
    )
    stop = () => clearTimeout(timer)
  })
  return { passed, stop }
}
