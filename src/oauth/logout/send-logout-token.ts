/** One call of a client's back channel (OpenID Connect Back-Channel Logout §2.5). */
import { callClient } from '../call-client.ts'

/** @throws {Error} unless the client says that it has signed the person out */
export type SendLogoutToken = (uri: string, token: string, signal: AbortSignal) => Promise<void>

const PATIENCE_MS = 5000
/** §2.8: 204 is what some frameworks make of an empty 200. */
const DONE: readonly number[] = [200, 204]

export function createSendLogoutToken({ milliseconds = PATIENCE_MS } = {}): SendLogoutToken {
  return async (uri, token, signal) => {
    const response = await callClient(uri, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
      milliseconds,
      signal,
    })
    // The status says it all; what comes with it may be of any size.
    await response.body?.cancel()
    if (!DONE.includes(response.status)) throw new Error(`the client answered ${response.status}`)
  }
}
