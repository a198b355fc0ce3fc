/**
 * The scope of all protocol endpoints: form in, JSON or a JWT out, never cached, errors as in RFC 6749 §5.2, so that no endpoint can forget
 * these rules. Must not know any endpoint. The list of endpoints is routes.ts.
 */
import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Audit, AuditEvent } from '../audit/events.ts'
import { failureFields } from '../oauth/audit-failures.ts'
import { invalidRequest } from '../oauth/errors.ts'
import type { PresentedCertificate } from '../oauth/mtls/presented-certificate.ts'
import type { ProtocolRequest } from '../oauth/parameters.ts'
import { clientAddress } from './client-address.ts'
import { asOAuthError, noStore, sendFailure } from './failures.ts'
import { type Form, MAX_BODY_BYTES, parseForm } from './form.ts'
import { fieldsOf } from './header-fields.ts'
import type { ClientCertificateOf } from './tls/client-certificate.ts'
import { tokenChallenge } from './token-challenge.ts'

export type ProtocolResponse =
  | { readonly kind: 'json'; readonly body: object }
  | { readonly kind: 'jwt'; readonly type: string; readonly jwt: string }
  /** The endpoint needs an access token, and the request has none (RFC 6750 §3.1). */
  | { readonly kind: 'token-missing' }

export type ProtocolHandler = (request: ProtocolRequest) => Promise<ProtocolResponse>

export const json = (body: object): ProtocolResponse => ({ kind: 'json', body })

export interface ProtocolRoute {
  readonly url: string
  /** The endpoint's public URL. */
  readonly endpoint: string
  /** The audit event of a request that is refused before the handler runs. The handler records its own refusals. */
  readonly failureEvent: AuditEvent
  /** The status of a successful response. */
  readonly status?: 200 | 201
  /** The endpoint needs an access token (RFC 6750), and also accepts GET. */
  readonly needsToken?: boolean | undefined
  readonly handler: ProtocolHandler
}

/** Registers the endpoints in a scope whose parsers and error responses apply only to them. */
export async function protocolScope(
  app: FastifyInstance,
  routes: readonly ProtocolRoute[],
  audit: Audit,
  clientCertificateOf: ClientCertificateOf,
): Promise<void> {
  // The only accepted content type is that of the RFCs. A body of any other type is refused before it is parsed.
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: MAX_BODY_BYTES, parser: parseForm as never })
  for (const { url, endpoint, failureEvent, status = 200, needsToken = false, handler } of routes) {
    const handled = new WeakSet<FastifyRequest>()
    app.route({
      method: needsToken ? ['GET', 'POST'] : 'POST',
      url,
      bodyLimit: MAX_BODY_BYTES,
      async handler(request, reply) {
        noStore(reply)
        if (needsToken) refuseTokenInUrl(request)
        else refuseQuery(request)
        const parsed = protocolRequest(request, reply, endpoint, clientCertificateOf(request.raw))
        handled.add(request)
        const response = await handler(parsed)
        if (response.kind === 'token-missing') {
          // Without a payload, Fastify sends `Content-Length: 0` and no Content-Type. It would declare an empty text as plain text,
          // which clients that expect JSON refuse.
          return reply.status(401).header('www-authenticate', tokenChallenge(undefined, null)).send()
        }
        if (response.kind === 'jwt') return reply.status(status).type(response.type).send(response.jwt)
        return reply.status(status).type('application/json').send(JSON.stringify(response.body))
      },
      errorHandler(error, request, reply) {
        const failure = asOAuthError(error)
        if (!handled.has(request)) {
          const from = { ip: clientAddress(request), request_id: request.id }
          audit(failureEvent, { ...failureFields(failure), ...from })
        }
        if (needsToken && failure.status < 500)
          reply.header('www-authenticate', tokenChallenge(request.headers.authorization, failure))
        return sendFailure(error, request, reply)
      },
    })
  }
}

const EMPTY_FORM = parseForm('')

function protocolRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  endpoint: string,
  certificate: PresentedCertificate | null,
): ProtocolRequest {
  refuseRepeatedHeader(request, 'authorization')
  return {
    ...((request.body as Form | undefined) ?? EMPTY_FORM),
    authorization: request.headers.authorization,
    accept: request.headers.accept,
    dpop: fieldsOf(request.raw, 'dpop'),
    certificate,
    method: request.method,
    supplyNonce: (nonce) => reply.header('dpop-nonce', nonce),
    endpoint,
    ip: clientAddress(request),
    requestId: request.id,
  }
}

/** RFC 6749 §2.3.1, §3.2: URLs end up in logs and histories, so parameters may not be in the URL. */
function refuseQuery({ url }: FastifyRequest): void {
  if (url.includes('?')) throw invalidRequest('parameters must be in the body')
}

/**
 * Some libraries add parameters such as `schema=openid` to the userinfo request. They mean nothing and are ignored, but a token
 * must not be in a URL: RFC 6750 §2.3 is not supported (RFC 9700 §4.3.2).
 */
function refuseTokenInUrl({ url }: FastifyRequest): void {
  const queryAt = url.indexOf('?')
  if (queryAt >= 0 && new URLSearchParams(url.slice(queryAt)).has('access_token')) {
    throw invalidRequest('the access token must not be in the URL')
  }
}

/** Node silently keeps only the first of two headers of the same name. */
function refuseRepeatedHeader(request: FastifyRequest, name: string): void {
  if (fieldsOf(request.raw, name).length > 1) throw invalidRequest('the Authorization header is repeated')
}
