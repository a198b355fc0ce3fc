/** The span of a request, following OpenTelemetry's semantic conventions for HTTP servers. */
import type { Attributes } from '@opentelemetry/api'
import { parseTraceparent, SpanKind, SpanStatusCode, type Spans } from './spans.ts'
import type { Tracing } from './tracing.ts'

/** Any other method is `_OTHER`, so that text from a client does not get into a span. */
const METHODS: readonly string[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'TRACE',
  'CONNECT',
]

export interface RequestSpanOptions {
  readonly issuer: string
  /** Whether a caller's trace is continued. */
  readonly continueTraces: boolean
}

export function traceRequest(
  spans: Spans,
  { issuer, continueTraces }: RequestSpanOptions,
): Tracing['request'] {
  const { protocol, hostname } = new URL(issuer)
  // Taken from the issuer and not from the request, because a client chooses the Host header.
  const common: Attributes = { 'url.scheme': protocol.replace(':', ''), 'server.address': hostname }

  return ({ method: requestMethod, route, requestId, caller }) => {
    const method = METHODS.includes(requestMethod) ? requestMethod : '_OTHER'
    const verb = method === '_OTHER' ? 'HTTP' : method
    const attributes: Attributes = {
      ...common,
      'http.request.method': method,
      ...(route === undefined ? {} : { 'http.route': route }),
      'keyturn.request_id': requestId,
    }
    const name = route === undefined ? verb : `${verb} ${route}`
    const parent = continueTraces ? parseTraceparent(caller) : null
    const { span, run } = spans.startRequest(name, { kind: SpanKind.SERVER, attributes }, parent)
    return {
      run,
      end(status) {
        if (status !== undefined) span.setAttribute('http.response.status_code', status)
        if (status !== undefined && status >= 500) {
          span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR })
        }
        span.end()
      },
    }
  }
}
