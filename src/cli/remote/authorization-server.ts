/**
 * The authorization server whose administration is used, as its OAuth client sees it. Must not know how a user signs in, or where
 * tokens are kept.
 */
import * as oidc from 'openid-client'
import { noAnswer } from '../../admin/remote-call.ts'
import { isLoopbackHost } from '../../loopback.ts'
import { exposedMessage, readSecretFile } from '../../secret-file.ts'
import { type Clock, systemClock } from '../../system.ts'
import { whyUnreadable, withoutFinalNewline } from '../../text.ts'
import { SignInFailed } from './errors.ts'

export interface Registration {
  readonly client_id: string
  readonly client_secret_file?: string
}

export interface NetworkDeps {
  readonly fetch?: typeof fetch
  readonly clock?: Clock
}

/** Clocks of machines differ; an ID token of a server whose clock is ahead is not from the future. */
const CLOCK_TOLERANCE = 300

/**
 * Reads the metadata of the server (OpenID Connect Discovery §4), which must name the URL that was given.
 * @throws {ServerUnreachable | SignInFailed}
 */
export function discover(
  server: string,
  registration: Registration,
  { fetch, clock = systemClock }: NetworkDeps,
): Promise<oidc.Configuration> {
  const { client_id: id, client_secret_file: file } = registration
  const authentication = file === undefined ? oidc.None() : oidc.ClientSecretBasic(readClientSecret(file))
  const url = new URL(server)
  const metadata = {
    [oidc.clockTolerance]: CLOCK_TOLERANCE,
    // Only a test has another clock than that of the machine.
    [oidc.clockSkew]: clock.now() - systemClock.now(),
  }
  return asking(server, () =>
    oidc.discovery(url, id, metadata, authentication, {
      ...(fetch ? { [oidc.customFetch]: fetch as oidc.CustomFetch } : {}),
      execute: isLoopbackHost(url.hostname) ? [oidc.allowInsecureRequests] : [],
    }),
  )
}

/** @throws {SignInFailed} */
function readClientSecret(file: string): string {
  try {
    const { text, exposed } = readSecretFile(file)
    if (exposed) throw new SignInFailed(exposedMessage(file))
    const secret = withoutFinalNewline(text)
    if (secret === '') throw new SignInFailed(`${file} is empty`)
    return secret
  } catch (error) {
    if (error instanceof SignInFailed) throw error
    throw new SignInFailed(`${file} ${whyUnreadable(error)}`, error)
  }
}

/** Runs a request of the protocol. @throws {ServerUnreachable | SignInFailed} with one line for the operator */
export async function asking<T>(server: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    throw explained(server, error)
  }
}

function explained(server: string, error: unknown): unknown {
  if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError)
    return new SignInFailed(`${server} refused: ${error.error_description ?? error.error}`, error)
  if (error instanceof oidc.WWWAuthenticateChallengeError)
    return new SignInFailed(`${server} does not accept the client id and the secret`, error)
  // What fetch throws if there is no answer.
  if (error instanceof TypeError && error.message === 'fetch failed') return noAnswer(server, error)
  if (!(error instanceof oidc.ClientError)) return error
  if (error.code === 'OAUTH_TIMEOUT') return noAnswer(server, error)
  const { attribute, body, message } = (error.cause ?? {}) as {
    readonly attribute?: string
    readonly body?: { readonly issuer?: string }
    readonly message?: string
  }
  if (attribute === 'issuer' && body?.issuer !== undefined)
    return new SignInFailed(`${server} calls itself ${body.issuer}: use that URL if it is your server`, error)
  const detail = [error.message, message].filter(Boolean).join(': ')
  return new SignInFailed(`${server} does not answer like an authorization server: ${detail}`, error)
}
