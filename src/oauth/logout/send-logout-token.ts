/** Posts a logout token to a client (OpenID Connect Back-Channel Logout §2.5). */
import { callClient } from '../call-client.ts'

/** @throws {Error} unless the client confirms that it has signed the user out */
export type SendLogoutToken = (uri: string, token: string, signal: AbortSignal) => Promise<void>

export const LOGOUT_TIMEOUT_MS = 5000
/** Back-Channel Logout §2.8: some frameworks turn an empty 200 into 204. */
const SUCCESS: readonly number[] = [200, 204]

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
    if (!SUCCESS.includes(response.status)) throw new Error(`the client returned ${response.status}`)
  }
}
