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
  if (error.status >= 500) request.log.error({ request_id, detail, err: cause ?? error }, 'request failed')
  else request.log.debug({ request_id, error: code, reason: message, detail, err: cause }, 'request refused')
  noStore(reply)
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
  challenge(error, request, reply)
  return reply
    .status(error.status)
    .type('application/json')
    .send(JSON.stringify({ error: error.code, error_description: sanitizeDescription(error.message) }))
}

/** RFC 6749 §5.1, which also requires Pragma for HTTP/1.0 caches. */
export function noStore(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
}

/** RFC 6749 §5.2: the response to a failed `Authorization` header names the supported scheme. */
function challenge(error: OAuthError, request: FastifyRequest, reply: FastifyReply): void {
  if (error.code === 'invalid_client' && request.headers.authorization !== undefined) {
    reply.header('www-authenticate', 'Basic realm="keyturn", charset="UTF-8"')
  }
}
