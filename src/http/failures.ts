/** Thrown error → the error that a client may see. All endpoints and pages use it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Overloaded } from '../accounts/concurrency-limiter.ts'
import { RateLimited } from '../accounts/rate-limiter.ts'
import { invalidRequest, OAuthError, sanitizeDescription, unavailable } from '../oauth/errors.ts'
import { StoreUnavailable } from '../store/db.ts'

export function asOAuthError(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error
  if (error instanceof StoreUnavailable || error instanceof Overloaded)
    return unavailable(error.retryAfter, { cause: error })
  if (error instanceof RateLimited) {
    // RFC 6585 §4.
    const options = { status: 429, retryAfter: error.retryAfter, cause: error }
    return new OAuthError('temporarily_unavailable', 'too many attempts, try again later', options)
  }
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (statusCode === 413) {
    return new OAuthError('invalid_request', 'the body is too large', { status: 413, cause: error })
  }
  // RFC 6749 §5.2 requires 400 for a malformed request, and a wrong content type makes it malformed.
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return invalidRequest('the content type must be application/x-www-form-urlencoded', { cause: error })
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return invalidRequest('the request is malformed', { cause: error })
  }
  return new OAuthError('server_error', 'an unexpected error occurred', { cause: error })
}

/** RFC 6749 §5.2: the error as JSON, never cached. */
export function sendFailure(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asOAuthError(thrown)
  const request_id = request.id
  const { code, message, detail, cause } = error
  if (isFailure(error)) request.log.error({ request_id, detail, err: cause ?? error }, 'request failed')
  else request.log.debug({ request_id, error: code, reason: message, detail, err: cause }, 'request refused')
  noStore(reply)
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
  if (error.status === 401 && !reply.hasHeader('www-authenticate')) {
    reply.header('www-authenticate', clientChallenge(request))
  }
  return reply
    .status(error.status)
    .type('application/json')
    .send(JSON.stringify({ error: error.code, error_description: sanitizeDescription(error.message) }))
}

/**
 * Whether the server failed. A full queue is not a failure but a limit, which anyone can reach as often as they like: it is counted in a
 * metric, and must not fill the log.
 */
export const isFailure = ({
  status,
  cause,
}: {
  readonly status: number
  readonly cause?: unknown
}): boolean => status >= 500 && !(cause instanceof Overloaded)

/** RFC 6749 §5.1, which also requires Pragma for HTTP/1.0 caches. */
export function noStore(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
}

/** RFC 6749 §5.2: the scheme of the `Authorization` header that failed. */
const BASIC_CHALLENGE = 'Basic realm="keyturn", charset="UTF-8"'
/** Client authentication by parameters of the form. There is no registered scheme for it. */
const FORM_CHALLENGE = 'Form realm="keyturn"'

/**
 * RFC 9110 §15.5.2: every 401 has a challenge. A script on a page of the issuer's origin may get this response; for Basic, the
 * browser would then ask its user for a password. So a script that did not use Basic gets a scheme that no browser knows.
 */
function clientChallenge({ headers }: FastifyRequest): string {
  const isScript = headers['sec-fetch-site'] !== undefined
  return isScript && headers.authorization === undefined ? FORM_CHALLENGE : BASIC_CHALLENGE
}
