/**
 * The machine side of HTTP: form bodies in, JSON out, never cached, errors as RFC 6749 §5.2. Must not know any
 * endpoint. What every protocol endpoint has in common is here, so that none can forget it.
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
import { type Form, parseForm } from './form.ts'

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
  /** Audited for a request that never reaches the handler; what the handler refuses, it audits itself. */
  readonly refused: AuditEvent
  /** Of the answer to a request that is granted. */
  readonly status?: 200 | 201
  /** An access token opens it (RFC 6750); such an endpoint answers GET too. */
  readonly bearer?: boolean | undefined
  readonly handler: ProtocolHandler
}

const BODY_LIMIT = 65_536

/** Registers endpoints in a scope of their own; the parsers and the error form apply to nothing else. */
export async function protocolScope(
  app: FastifyInstance,
  routes: readonly ProtocolRoute[],
  audit: Audit,
): Promise<void> {
  // Only what the RFCs name: a body of any other type is refused before anybody looks at it.
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: BODY_LIMIT, parser: parseForm as never })
  for (const { url, endpoint, refused, status = 200, bearer = false, handler } of routes) {
    const reached = new WeakSet<FastifyRequest>()
    app.route({
      method: bearer ? ['GET', 'POST'] : 'POST',
      url,
      bodyLimit: BODY_LIMIT,
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
  // RFC 6749 §2.3.1, §3.2: what is in the URL ends up in logs and histories, so nothing may be there.
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

/** Node keeps the first of two such headers and says nothing. */
function refuseTwice({ raw }: FastifyRequest, name: string): void {
  let seen = 0
  for (let i = 0; i < raw.rawHeaders.length; i += 2) {
    if (raw.rawHeaders[i]?.toLowerCase() === name) seen += 1
  }
  if (seen > 1) throw invalidRequest('the Authorization header is repeated')
}
