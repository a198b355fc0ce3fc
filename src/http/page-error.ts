/** An error as a page: for users, as long as nothing may be sent to a client (RFC 6749 §4.1.2.1). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { KeyturnError } from '../errors.ts'
import { issuerPath } from '../issuer-path.ts'
import { UntrustedRequest } from '../oauth/authorize/redirect-target.ts'
import type { OAuthError } from '../oauth/errors.ts'
import { type ErrorKind, errorPage } from '../views/pages/error.ts'
import { chooseLocale, textsIn } from '../views/texts/index.ts'
import { asOAuthError } from './failures.ts'
import type { Services } from './services.ts'

const STATUSES: Readonly<Record<ErrorKind, number>> = {
  'unknown-client': 400,
  'invalid-redirect': 400,
  'invalid-request': 400,
  expired: 400,
  forged: 403,
  'access-denied': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  busy: 503,
  internal: 500,
}

/** Thrown where only the user can be told. The page shows `shown`; `cause` is only logged. */
export class PageError extends KeyturnError<'page_error'> {
  readonly kind: ErrorKind
  readonly shown: string | null
  constructor(kind: ErrorKind, shown: string | null = null, cause?: unknown) {
    super('page_error', shown ?? kind, { cause })
    this.kind = kind
    this.shown = shown
  }
}

export function sendErrorPage(
  services: Services,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { kind, shown, detail, status, retryAfter, cause } = answerTo(thrown)
  const request_id = request.id
  if (status >= 500) request.log.error({ request_id, err: cause }, 'request failed')
  else request.log.debug({ request_id, error: kind, reason: shown, detail, err: cause }, 'request refused')
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  const locale = chooseLocale([], request.headers['accept-language'])
  const { brand, assets } = services.look
  const prefix = issuerPath(services.config.issuer)
  const page = { texts: textsIn(locale), locale, brand, assets, prefix }
  return reply
    .status(status)
    .type('text/html; charset=utf-8')
    .send(errorPage({ kind, detail: shown, requestId: request_id, link: null }, page))
}

interface Answer {
  readonly kind: ErrorKind
  /** On the page. */
  readonly shown: string | null
  /** In the log alone. */
  readonly detail?: string | undefined
  readonly status: number
  readonly retryAfter?: number | undefined
  readonly cause: unknown
}

function answerTo(thrown: unknown): Answer {
  if (thrown instanceof PageError) {
    const { kind, shown, cause } = thrown
    return { kind, shown, status: STATUSES[kind], cause }
  }
  const error = asOAuthError(thrown)
  const kind = kindOf(error)
  const shown = kind === 'busy' || kind === 'internal' ? null : `${error.code}: ${error.message}`
  const { status, retryAfter, detail, cause } = error
  return { kind, shown, detail, status, retryAfter, cause: cause ?? error }
}

function kindOf(error: OAuthError): ErrorKind {
  if (error instanceof UntrustedRequest) return error.reason
  if (error.code === 'temporarily_unavailable') return 'busy'
  if (error.code === 'server_error') return 'internal'
  return 'invalid-request'
}
