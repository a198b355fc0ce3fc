/**
 * Error → page, for errors that must not be sent to the client (RFC 6749 §4.1.2.1). Must not know any page. Add a new kind of
 * error page in views/pages/error.ts, and its status below.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import { KeyturnError } from '../errors.ts'
import { UntrustedRequest } from '../oauth/authorize/redirect-target.ts'
import type { OAuthError } from '../oauth/errors.ts'
import type { Branding } from '../views/assets.ts'
import { type ErrorKind, errorPage } from '../views/pages/error.ts'
import { chooseLocale, textsIn } from '../views/texts/index.ts'
import { asOAuthError, isFailure } from './failures.ts'
import type { HtmlNotFound } from './methods.ts'
import { setPageHeaders } from './page-policy.ts'

const STATUSES: Readonly<Record<ErrorKind, number>> = {
  'unknown-client': 400,
  'invalid-redirect': 400,
  'invalid-request': 400,
  expired: 400,
  'void-link': 400,
  forged: 403,
  'access-denied': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  busy: 503,
  internal: 500,
}

/** An error that only the user sees, not the client. The page shows `shown`; `cause` is only logged. */
export class PageError extends KeyturnError<'page_error'> {
  readonly kind: ErrorKind
  readonly shown: string | null
  constructor(kind: ErrorKind, shown: string | null = null, cause?: unknown) {
    super('page_error', shown ?? kind, { cause })
    this.kind = kind
    this.shown = shown
  }
}

export interface ErrorPageDeps {
  /** The path of the issuer, or empty. */
  readonly prefix: string
  readonly branding: Pick<Branding, 'brand' | 'assets'>
}

export function sendErrorPage(
  { prefix, branding }: ErrorPageDeps,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { kind, shown, detail, status, retryAfter, cause } = errorResponseOf(thrown)
  const request_id = request.id
  if (isFailure({ status, cause })) request.log.error({ request_id, err: cause }, 'request failed')
  else request.log.debug({ request_id, error: kind, reason: shown, detail, err: cause }, 'request refused')
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  const locale = chooseLocale([], request.headers['accept-language'])
  const { brand, assets } = branding
  const page = { texts: textsIn(locale), locale, brand, assets, prefix }
  return reply
    .status(status)
    .type('text/html; charset=utf-8')
    .send(errorPage({ kind, detail: shown, requestId: request_id, link: null }, page))
}

/** 404 and 405 as a page for a client that prefers HTML; every other client gets JSON. */
export function htmlNotFound(deps: ErrorPageDeps): HtmlNotFound {
  return (kind, request, reply) => {
    // RFC 9110 §12.5.1. A client that accepts anything, such as curl, gets JSON.
    const prefersHtml = new Negotiator(request).mediaType(['application/json', 'text/html']) === 'text/html'
    const isBelowIssuer = `${request.url.split('?', 1)[0]}/`.startsWith(`${deps.prefix}/`)
    if (!prefersHtml || !isBelowIssuer) return false
    setPageHeaders(reply)
    sendErrorPage(deps, new PageError(kind), request, reply)
    return true
  }
}

interface ErrorResponse {
  readonly kind: ErrorKind
  /** Text for the page. */
  readonly shown: string | null
  /** Written only to the log. */
  readonly detail?: string | undefined
  readonly status: number
  readonly retryAfter?: number | undefined
  readonly cause: unknown
}

function errorResponseOf(thrown: unknown): ErrorResponse {
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
