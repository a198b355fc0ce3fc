/**
 * The side of HTTP for programs: what every protocol endpoint has in common (form in, JSON out, never cached, errors as RFC 6749
 * §5.2), so that no endpoint can forget it. Must not know any endpoint. The list of endpoints is routes.ts.
 */
import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Audit, AuditEvent } from '../audit/events.ts'
import { failureFields } from '../oauth/audit-failures.ts'
import { invalidRequest } from '../oauth/errors.ts'
import type { ProtocolRequest } from '../oauth/parameters.ts'
import { bearerChallenge } from './bearer.ts'
import { clientAddress } from './client-address.ts'
import { asOAuthError, noStore, sendFailure } from './failures.ts'
import { type Form, MAX_BODY_BYTES, parseForm } from './form.ts'

export type ProtocolAnswer =
  | { readonly kind: 'json'; readonly body: object }
  | { readonly kind: 'empty' }
  /** The request has no access token, and the endpoint needs one (RFC 6750 §3.1). */
  | { readonly kind: 'token-needed' }

export type ProtocolHandler = (request: ProtocolRequest) => Promise<ProtocolAnswer>

export const json = (body: object): ProtocolAnswer => ({ kind: 'json', body })

export interface ProtocolRoute {
  readonly url: string
  /** The endpoint's public URL. */
  readonly endpoint: string
  /** The audit event of a request that never reaches the handler. The handler records its own refusals. */
  readonly refused: AuditEvent
  /** The status of a successful response. */
  readonly status?: 200 | 201
  /** Needs an access token (RFC 6750). Such an endpoint takes GET too. */
  readonly bearer?: boolean | undefined
  readonly handler: ProtocolHandler
}

/** Registers endpoints in a scope of their own: its parsers and its error responses apply to nothing else. */
export async function protocolScope(
  app: FastifyInstance,
  routes: readonly ProtocolRoute[],
  audit: Audit,
): Promise<void> {
  // Only the content type that the RFCs name: a body of any other type is refused before it is parsed.
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: MAX_BODY_BYTES, parser: parseForm as never })
  for (const { url, endpoint, refused, status = 200, bearer = false, handler } of routes) {
    const reached = new WeakSet<FastifyRequest>()
    app.route({
      method: bearer ? ['GET', 'POST'] : 'POST',
      url,
      bodyLimit: MAX_BODY_BYTES,
      async handler(request, reply) {
        noStore(reply)
        const asked = protocolRequest(request, endpoint)
        reached.add(request)
        const answer = await handler(asked)
        if (answer.kind === 'empty') return reply.send('')
        if (answer.kind === 'token-needed') {
          return reply.status(401).header('www-authenticate', bearerChallenge(null)).send('')
        }
        return reply.status(status).type('application/json').send(JSON.stringify(answer.body))
      },
      errorHandler(error, request, reply) {
        const failure = asOAuthError(error)
        if (!reached.has(request)) {
          const from = { ip: clientAddress(request), request_id: request.id }
          audit(refused, { ...failureFields(failure), ...from })
        }
        if (bearer && failure.status < 500) reply.header('www-authenticate', bearerChallenge(failure))
        return sendFailure(error, request, reply)
      },
    })
  }
}

const NONE = parseForm('')

function protocolRequest(request: FastifyRequest, endpoint: string): ProtocolRequest {
  // RFC 6749 §2.3.1, §3.2: URLs end up in logs and histories, so parameters may not be in the URL.
  if (request.url.includes('?')) throw invalidRequest('parameters belong into the body')
  refuseTwice(request, 'authorization')
  return {
    ...((request.body as Form | undefined) ?? NONE),
    authorization: request.headers.authorization,
    endpoint,
    ip: clientAddress(request),
    requestId: request.id,
  }
}

/** Node silently keeps the first of two such headers. */
function refuseTwice({ raw }: FastifyRequest, name: string): void {
  let seen = 0
  for (let i = 0; i < raw.rawHeaders.length; i += 2) {
    if (raw.rawHeaders[i]?.toLowerCase() === name) seen += 1
  }
  if (seen > 1) throw invalidRequest('the Authorization header is repeated')
}
