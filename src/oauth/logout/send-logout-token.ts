/** Posts a logout token to a client (OpenID Connect Back-Channel Logout §2.5). */
import { KeyturnError } from '../../errors.ts'
import { callClient } from '../call-client.ts'

/**
 * The client has received the logout token and does not accept it. It would not accept another one either: with 400 it says that
 * the request was invalid or the logout failed (Back-Channel Logout §2.8).
 */
export class LogoutTokenRefused extends KeyturnError<'logout_token_refused'> {
  constructor(status: number) {
    super('logout_token_refused', `the client returned ${status}`)
  }
}

/** @throws {LogoutTokenRefused | Error} unless the client confirms that it has signed the user out */
export type SendLogoutToken = (uri: string, token: string, signal: AbortSignal) => Promise<void>

export const LOGOUT_TIMEOUT_MS = 5000
/** Back-Channel Logout §2.8: some frameworks turn an empty 200 into 204. */
const SUCCESS: readonly number[] = [200, 204]

/** The client, or a proxy before it, could not process the request now (RFC 6585 §4, RFC 9110 §15.6). */
const isTemporary = (status: number): boolean => status === 429 || status >= 500

export function createSendLogoutToken({ milliseconds = LOGOUT_TIMEOUT_MS } = {}): SendLogoutToken {
  return async (uri, token, signal) => {
    const response = await callClient(uri, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
      milliseconds,
      signal,
    })
    // Only the status matters. The body may be large, so it is not read.
    await response.body?.cancel()
    const { status } = response
    if (SUCCESS.includes(status)) return
    throw isTemporary(status) ? new Error(`the client returned ${status}`) : new LogoutTokenRefused(status)
  }
}
