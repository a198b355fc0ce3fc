/** The errors of this plugin as the app's error handler gets them. Messages contain nothing that came with a request. */

const ERRORS = {
  SESSION_ENDED: [401, 'The session has ended. Sign in again.'],
  CSRF: [403, 'The request did not come from a page of this app.'],
  SIGN_IN_UNKNOWN: [400, 'This sign-in was not started in this browser, or it has expired. Sign in again.'],
  SIGN_IN_REFUSED: [403, 'The sign-in was not allowed.'],
  SIGN_IN_FAILED: [400, 'The sign-in failed. Sign in again.'],
  SESSION_TOO_LARGE: [500, 'The tokens are too large for cookies. Use a session store.'],
  REFRESH_FAILED: [502, 'The authorization server did not refresh the session. Try again later.'],
  ISSUER_UNAVAILABLE: [503, 'The authorization server cannot be reached. Try again later.'],
} as const satisfies Record<string, readonly [number, string]>

/** The codes are stable, so callers may branch on them. */
export type BrowserSessionErrorCode = keyof typeof ERRORS

/** `cause` has the underlying error, if there is one. It may contain tokens, so do not log all of it. */
export class BrowserSessionError extends Error {
  readonly code: BrowserSessionErrorCode
  /** The status that Fastify responds with. */
  readonly statusCode: number

  constructor(code: BrowserSessionErrorCode, cause?: unknown) {
    const [status, message] = ERRORS[code]
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'BrowserSessionError'
    this.code = code
    this.statusCode = status
  }
}

/** Whether a refresh may succeed later, so that the session goes on. */
export function isTemporary(error: unknown): error is BrowserSessionError {
  return hasCode(error, 'ISSUER_UNAVAILABLE') || hasCode(error, 'REFRESH_FAILED')
}

export function hasCode(error: unknown, code: BrowserSessionErrorCode): error is BrowserSessionError {
  return error instanceof BrowserSessionError && error.code === code
}
