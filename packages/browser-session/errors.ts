/** What can go wrong, as the app's error handler sees it. Messages hold nothing of what a stranger sent. */

const FAILURES = {
  SESSION_ENDED: [401, 'The session has ended; sign in again.'],
  CSRF: [403, 'The request did not come from a page of this app.'],
  SIGN_IN_UNKNOWN: [400, 'This sign-in was not begun in this browser, or too long ago; sign in again.'],
  SIGN_IN_REFUSED: [403, 'The sign-in was not granted.'],
  SIGN_IN_FAILED: [400, 'The sign-in failed; sign in again.'],
  SESSION_TOO_LARGE: [500, 'The tokens are too large for cookies; use a session store.'],
  ISSUER_UNAVAILABLE: [503, 'The authorization server cannot be asked now; try again later.'],
} as const satisfies Record<string, readonly [number, string]>

export type FailureCode = keyof typeof FAILURES

export class BrowserSessionError extends Error {
  readonly code: FailureCode
  /** What Fastify answers with. */
  readonly statusCode: number

  constructor(code: FailureCode, cause?: unknown) {
    const [status, message] = FAILURES[code]
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'BrowserSessionError'
    this.code = code
    this.statusCode = status
  }
}

export function isFailure(error: unknown, code: FailureCode): error is BrowserSessionError {
  return error instanceof BrowserSessionError && error.code === code
}
