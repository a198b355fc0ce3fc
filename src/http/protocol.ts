/**
 * The machine side of HTTP: form bodies in, JSON out, never cached, errors as RFC 6749 §5.2. Must not know any
 * endpoint. What every protocol endpoint has in common is here, so that none can forget it.
 */
import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describable, invalidRequest, type OAuthError } from '../oauth/errors.ts'
import type { Parameters, ProtocolRequest } from '../oauth/parameters.ts'
import { asOAuthError } from './failures.ts'
import { parseForm } from './form.ts'

export type ProtocolHandler = (request: ProtocolRequest) => Promise<object | undefined>

export interface ProtocolRoute {
  readonly url: string
  /** The endpoint's public URL. */
  readonly endpoint: string
  readonly handler: ProtocolHandler
}

const BODY_LIMIT = 65_536

/** Registers endpoints in a scope of their own; the parsers and the error form apply to nothing else. */
export async function protocolScope(app: FastifyInstance, routes: readonly ProtocolRoute[]): Promise<void> {
  // Only what the RFCs name: a body of any other type is refused before anybody looks at it.
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: BODY_LIMIT, parser: parseForm as never })
  app.setErrorHandler(sendFailure)
  for (const { url, endpoint, handler } of routes) {
    app.post(url, { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      noStore(reply)
      const answer = await handler(protocolRequest(request, endpoint))
      if (answer === undefined) return reply.send('')
      return reply.type('application/json').send(JSON.stringify(answer))
    })
  }
}

/** RFC 6749 §5.1; Pragma for caches of HTTP/1.0, as that section asks. */
function noStore(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
}

const NONE = parseForm('')

function protocolRequest(request: FastifyRequest, endpoint: string): ProtocolRequest {
  // RFC 6749 §2.3.1, §3.2: what is in the URL ends up in logs and histories, so nothing may be there.
  if (request.url.includes('?')) throw invalidRequest('parameters belong into the body')
  refuseTwice(request, 'authorization')
  return {
    parameters: (request.body as Parameters | undefined) ?? NONE,
    authorization: request.headers.authorization,
    endpoint,
    ip: request.ip,
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

function sendFailure(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asOAuthError(thrown)
  if (error.status >= 500) request.log.error({ err: error.cause ?? error }, 'request failed')
  else request.log.debug({ error: error.code, reason: error.message, err: error.cause }, 'request refused')
  noStore(reply)
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
  challenge(error, request, reply)
  return reply
    .status(error.status)
    .type('application/json')
    .send(JSON.stringify({ error: error.code, error_description: describable(error.message) }))
}

/** RFC 6749 §5.2: a client that came with `Authorization` is told which scheme would have done. */
function challenge(error: OAuthError, request: FastifyRequest, reply: FastifyReply): void {
  if (error.code === 'invalid_client' && request.headers.authorization !== undefined) {
    reply.header('www-authenticate', 'Basic realm="keyturn", charset="UTF-8"')
  }
}
