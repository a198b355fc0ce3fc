/** Thrown error → problem document (RFC 9457). Must not know any route. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AdminError, type FieldError, PROBLEMS } from '../../admin/errors.ts'
import { PROBLEM_TYPE } from '../../admin/wire.ts'
import { OAuthError } from '../../oauth/errors.ts'
import { asOAuthError, isFailure, noStore } from '../failures.ts'

interface ProblemDocument {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly errors?: readonly FieldError[]
  readonly [more: string]: unknown
}

/** Problems that are not of administration but of the request: of its token, form or path. */
export const REQUEST_PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  unauthorized: { status: 401, title: 'The request needs a valid access token' },
  'insufficient-scope': { status: 403, title: 'The access token does not have the scope' },
  'no-such-path': { status: 404, title: 'There is no such path' },
  'method-not-allowed': { status: 405, title: 'The path does not have this method' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The content type is not JSON' },
  'server-error': { status: 500, title: 'An unexpected error occurred' },
  unavailable: { status: 503, title: 'The server cannot do this now' },
} as const

type RequestProblem = keyof typeof REQUEST_PROBLEMS

export function problemDocument(
  name: RequestProblem,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
): ProblemDocument {
  const { status, title } = REQUEST_PROBLEMS[name]
  return { ...more, type: PROBLEM_TYPE + name, title, status, detail }
}

/** A value of the request does not fit its schema, as the validator of Fastify reports it. */
interface ValidationFailure {
  readonly validation: readonly {
    readonly instancePath: string
    readonly message?: string
    readonly params?: { readonly missingProperty?: string; readonly additionalProperty?: string }
  }[]
}

const isValidation = (error: unknown): error is Error & ValidationFailure =>
  error instanceof Error && Array.isArray((error as Partial<ValidationFailure>).validation)

function documentOf(error: unknown): ProblemDocument {
  if (error instanceof AdminError) {
    const { status, title } = PROBLEMS[error.problem]
    const errors = error.errors.length > 0 ? { errors: error.errors } : {}
    return {
      ...error.fields,
      type: PROBLEM_TYPE + error.problem,
      title,
      status,
      detail: error.message,
      ...errors,
    }
  }
  if (isValidation(error)) {
    const errors = error.validation.map(({ instancePath, message = '', params }) => {
      const member = params?.missingProperty ?? params?.additionalProperty
      const at = instancePath.slice(1).replaceAll('/', '.')
      return { field: [at, member].filter(Boolean).join('.'), message }
    })
    const { status, title } = PROBLEMS['invalid-value']
    return { type: `${PROBLEM_TYPE}invalid-value`, title, status, detail: error.message, errors }
  }
  return requestProblem(error)
}

function requestProblem(error: unknown): ProblemDocument {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return problemDocument('unsupported-media-type', 'the content type must be application/json')
  const failure = asOAuthError(error)
  // An access token, or the DPoP proof that belongs to it.
  if (failure.status === 401) return problemDocument('unauthorized', failure.message)
  if (failure.code === 'insufficient_scope') return problemDocument('insufficient-scope', failure.message)
  if (failure.status === 413) return problemDocument('body-too-large', failure.message)
  if (failure.code === 'temporarily_unavailable') return problemDocument('unavailable', failure.message)
  if (failure.status >= 500) return problemDocument('server-error', failure.message)
  // Messages of the JSON parser may contain parts of the body, so they are replaced.
  const detail =
    typeof statusCode === 'number' && !(error instanceof OAuthError)
      ? 'the body or the path is malformed'
      : failure.message
  return problemDocument('invalid-request', detail)
}

export function sendProblem(reply: FastifyReply, document: ProblemDocument): FastifyReply {
  noStore(reply)
  return reply.status(document.status).type('application/problem+json').send(JSON.stringify(document))
}

export function sendThrown(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const document = documentOf(error)
  const failure = asOAuthError(error)
  if (document.status >= 500 && isFailure(failure))
    request.log.error({ request_id: request.id, err: failure.cause ?? error }, 'request failed')
  const { retryAfter } = error instanceof AdminError ? error : failure
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  return sendProblem(reply, document)
}
