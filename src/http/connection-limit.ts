/**
 * Bounds the open connections of a server, and the requests whose body has not arrived: each takes memory and a file descriptor,
 * and costs a stranger nothing. The connections are shared out by IP prefix. A new connection replaces an idle one, or one whose
 * request has not arrived yet, of its own prefix or of the prefix that has the most. So strangers with many connections only
 * displace each other. Must not know any endpoint.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ipPrefix } from '../accounts/ip-prefix.ts'
import type { ConnectionCounts } from '../metrics/connections.ts'
import { refuseOnSocket } from './broken-request.ts'
import { createShares } from './shares.ts'

/** One IP prefix may have this part of all connections; requests with unfinished bodies may be this part of all connections. */
const PART = 4

export interface ConnectionLimit {
  /** Counts a request whose body may still have to arrive, for the address of its client. */
  receiving(request: IncomingMessage, clientAddress: () => string): void
  counts(): ConnectionCounts
}

interface Work {
  readonly address: string
  /** IP prefix of the address. */
  readonly prefix: string
  /** Requests without a complete response. */
  open: number
  /** The last request. */
  request: IncomingMessage | null
}

/** @param isProxy whether an address carries the requests of many clients, so that only the limit of all connections applies */
export function limitConnections(
  server: Server,
  max: number,
  isProxy: (address: string) => boolean,
): ConnectionLimit {
  const perPrefix = Math.max(1, Math.floor(max / PART))
  const maxBodies = perPrefix
  const bodiesPerPrefix = Math.max(1, Math.floor(maxBodies / PART))
  const connections = createShares<Socket>()
  const bodies = createShares<IncomingMessage>()
  const works = new WeakMap<Socket, Work>()
  let refused = 0

  /**
   * The connection of this prefix to close: the oldest idle one, otherwise the oldest whose request has not arrived completely.
   * null if there is none.
   */
  function connectionToClose(prefix: string): Socket | null {
    let receiving: Socket | null = null
    for (const socket of connections.of(prefix)) {
      const work = works.get(socket)
      if (!work || work.open === 0) return socket
      if (work.open === 1 && work.request?.complete === false) receiving ??= socket
    }
    return receiving
  }

  /**
   * Closes a connection to make room for a new one. Returns false if none can be closed, so that the new connection is refused.
   */
  function makeRoom(prefix: string, atPrefixLimit: boolean): boolean {
    const largest = atPrefixLimit ? null : connections.largest()
    const from = largest !== null && connections.count(largest) > connections.count(prefix) ? largest : prefix
    const socket = connectionToClose(from)
    if (!socket) return false
    connections.delete(from, socket)
    // An idle client gets no response, because it would take it for the response to its next request.
    if (works.get(socket)?.open) refuseOnSocket(socket)
    else socket.destroy()
    return true
  }

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const prefix = ipPrefix(address)
    const atPrefixLimit = connections.count(prefix) >= perPrefix && !isProxy(address)
    if (atPrefixLimit || connections.size >= max) {
      refused += 1
      if (!makeRoom(prefix, atPrefixLimit)) return refuseOnSocket(socket)
    }
    works.set(socket, { address, prefix, open: 0, request: null })
    connections.add(prefix, socket)
    socket.once('close', () => connections.delete(prefix, socket))
  })

  // This listener must run before the one that handles the request.
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const work = works.get(request.socket)
    if (!work) return
    work.open += 1
    work.request = request
    response.once('close', () => {
      work.open -= 1
    })
  })

  return {
    receiving(request, clientAddress) {
      const work = works.get(request.socket)
      // A request of a test has no connection.
      if (!work) return
      const { 'content-length': length, 'transfer-encoding': coding } = request.headers
      if (request.complete || (coding === undefined && (length === undefined || length === '0'))) return
      const address = clientAddress()
      const prefix = address === work.address ? work.prefix : ipPrefix(address)
      const atPrefixLimit = bodies.count(prefix) >= bodiesPerPrefix
      if (atPrefixLimit || bodies.size >= maxBodies) {
        const from = atPrefixLimit ? prefix : (bodies.largest() ?? prefix)
        const [oldest] = bodies.of(from)
        if (oldest) {
          refused += 1
          bodies.delete(from, oldest)
          refuseOnSocket(oldest.socket)
        }
      }
      bodies.add(prefix, request)
      const done = () => bodies.delete(prefix, request)
      request.once('end', done).once('close', done)
    },

    counts: () => ({ open: connections.size, refused }),
  }
}
