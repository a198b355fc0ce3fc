/** Anything that was thrown → what a client may see of it. One place, for every protocol endpoint. */
import { GateFull } from '../accounts/gate.ts'
import { Throttled } from '../accounts/throttle.ts'
import { invalidRequest, OAuthError, unavailable } from '../oauth/errors.ts'
import { StoreUnavailable } from '../store/db.ts'

export function asOAuthError(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error
  if (error instanceof StoreUnavailable || error instanceof GateFull)
    return unavailable(error.retryAfter, error)
  if (error instanceof Throttled) {
    // RFC 6585 §4.
    const options = { status: 429, retryAfter: error.retryAfter, cause: error }
    return new OAuthError('temporarily_unavailable', 'too many attempts, try again later', options)
  }
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (statusCode === 413) {
    return new OAuthError('invalid_request', 'the body is too large', { status: 413, cause: error })
  }
  // RFC 6749 §5.2 knows 400 for a malformed request, and the content type is part of its form.
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return invalidRequest('the content type must be application/x-www-form-urlencoded', error)
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return invalidRequest('the request is malformed', error)
  }
  return new OAuthError('server_error', 'an unexpected error occurred', { cause: error })
}
