/** Responses to requests that Node or Fastify refuse before there is a route, in the form of all other errors. */
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { PROBLEM_TYPE } from '../admin/wire.ts'

interface Refusal {
  readonly status: number
  /**
   * Written out, because importing it from `node:http` loads everything that the module exports, including 11 MB for `WebSocket`.
   */
  readonly phrase: string
  readonly description: string
}

const MALFORMED: Refusal = { status: 400, phrase: 'Bad Request', description: 'the request is malformed' }

/** The responses by Node's error code. Any other code means that the request is malformed. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    phrase: 'Request Timeout',
    description: 'the request took too long',
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    phrase: 'Request Header Fields Too Large',
    description: 'the header fields are too large',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    phrase: 'Payload Too Large',
    description: 'the chunk extensions are too large',
  },
}

const OVERLOADED: Refusal = {
  status: 503,
  phrase: 'Service Unavailable',
  description: 'too many connections are open, try again later',
}

const json = ({ status, description }: Refusal) =>
  JSON.stringify({
    error: status === 503 ? 'temporarily_unavailable' : 'invalid_request',
    error_description: description,
  })

/** No HTTP request could be read, so there is no reply object, only the socket. */
export function respondOnSocket(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  write(socket, REFUSALS[error.code ?? ''] ?? MALFORMED)
  socket.destroy(error)
}

/** There are too many connections or unfinished requests. */
export function refuseOnSocket(socket: Socket): void {
  write(socket, OVERLOADED)
  socket.destroySoon()
}

function write(socket: Socket, refusal: Refusal): void {
  const body = json(refusal)
  const head = [
    `HTTP/1.1 ${refusal.status} ${refusal.phrase}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'cache-control: no-store',
    'connection: close',
    ...(refusal.status === 503 ? ['retry-after: 1'] : []),
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/**
 * The URL is malformed, e.g. with `%zz` in its path.
 * @param admin the path of the administration API, whose errors are problem documents (RFC 9457)
 */
export const respondToBadUrl =
  (admin: string | null) =>
  (_error: Error, { url }: FastifyRequest, reply: FastifyReply): void => {
    const { status, phrase: title, description: detail } = MALFORMED
    const isAdmin = admin !== null && url.startsWith(`${admin}/`)
    const problem = { type: `${PROBLEM_TYPE}invalid-request`, title, status, detail }
    reply
      .status(status)
      .header('cache-control', 'no-store')
      .type(isAdmin ? 'application/problem+json' : 'application/json')
      .send(isAdmin ? JSON.stringify(problem) : json(MALFORMED))
  }
