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
import { createGroupedSet } from './grouped-set.ts'
import { connectionSockets } from './tls/sockets.ts'

/**
 * One IP prefix may have a quarter of all connections. Requests with unfinished bodies may use a quarter of all connections too,
 * and those of one prefix a quarter of that.
 */
const SHARE_DIVISOR = 4

export interface ConnectionLimit {
  /** Counts a request towards the limit of its client's address until its body has arrived. */
  receiving(request: IncomingMessage, clientAddress: () => string): void
  counts(): ConnectionCounts
}

interface ConnectionState {
  readonly address: string
  /** IP prefix of the address. */
  readonly prefix: string
  lastRequest: IncomingMessage | null
  /** The address of the client that sent the last request, if that request has a body that is not counted yet. */
  bodyFrom: (() => string) | null
  lastResponse: ServerResponse | null
  /** The response before the last one: a client may send a request before it has the response to the one before (pipelining). */
  earlierResponse: ServerResponse | null
}

/** Whether a request still waits for its response. Responses are sent in the order of their requests (RFC 9112 §9.3.2). */
const isOpen = (response: ServerResponse | null): boolean => response !== null && !response.closed

/** @param isProxy whether an address carries the requests of many clients, so that only the limit of all connections applies */
export function limitConnections(
  server: Server,
  max: number,
  isProxy: (address: string) => boolean,
): ConnectionLimit {
  const perPrefix = Math.max(1, Math.floor(max / SHARE_DIVISOR))
  const maxBodies = perPrefix
  const bodiesPerPrefix = Math.max(1, Math.floor(maxBodies / SHARE_DIVISOR))
  const connections = createGroupedSet<Socket>()
  const bodies = createGroupedSet<IncomingMessage>()
  const states = new WeakMap<Socket, ConnectionState>()
  const sockets = connectionSockets(server)
  let refused = 0

  /** A client in the handshake of TLS would not understand a response. */
  function refuse(socket: Socket): void {
    const carrier = sockets.carrier(socket)
    if (carrier) refuseOnSocket(carrier)
    else socket.destroy()
  }

  /**
   * The connection of this prefix to close: the oldest idle one, otherwise the oldest whose request has not arrived completely.
   * null if there is none.
   */
  function connectionToClose(prefix: string): Socket | null {
    let receiving: Socket | null = null
    for (const socket of connections.of(prefix)) {
      const state = states.get(socket)
      if (!state || !isOpen(state.lastResponse)) return socket
      if (!isOpen(state.earlierResponse) && state.lastRequest?.complete === false) receiving ??= socket
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
    if (isOpen(states.get(socket)?.lastResponse ?? null)) refuse(socket)
    else socket.destroy()
    return true
  }

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const prefix = ipPrefix(address)
    const atPrefixLimit = connections.count(prefix) >= perPrefix && !isProxy(address)
    if (atPrefixLimit || connections.size >= max) {
      refused += 1
      if (!makeRoom(prefix, atPrefixLimit)) return refuse(socket)
    }
    states.set(socket, {
      address,
      prefix,
      lastRequest: null,
      bodyFrom: null,
      lastResponse: null,
      earlierResponse: null,
    })
    connections.add(prefix, socket)
    socket.once('close', () => connections.delete(prefix, socket))
    if (connections.size === bodiesPerPrefix + 1) countAllBodies()
  })

  // This listener must run before the one that handles the request.
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const state = states.get(sockets.plain(request.socket))
    if (!state) return
    state.lastRequest = request
    state.bodyFrom = null
    state.earlierResponse = state.lastResponse
    state.lastResponse = response
  })

  /** Counts an unfinished body until it has arrived, and refuses the oldest one that counts towards a limit that is reached. */
  function countBody(request: IncomingMessage, state: ConnectionState, from: () => string): void {
    state.bodyFrom = null
    const address = from()
    const prefix = address === state.address ? state.prefix : ipPrefix(address)
    const atPrefixLimit = bodies.count(prefix) >= bodiesPerPrefix
    if (atPrefixLimit || bodies.size >= maxBodies) {
      const fullest = atPrefixLimit ? prefix : (bodies.largest() ?? prefix)
      const [oldest] = bodies.of(fullest)
      if (oldest) {
        refused += 1
        bodies.delete(fullest, oldest)
        refuseOnSocket(oldest.socket)
      }
    }
    bodies.add(prefix, request)
    const done = () => bodies.delete(prefix, request)
    request.once('end', done).once('close', done)
  }

  /**
   * A connection has at most one unfinished body, so the limits can only be reached with more connections than the smaller limit.
   * Below that nothing is counted, because counting costs more than most of what else a request does outside its handler.
   */
  function countAllBodies(): void {
    for (const socket of connections) {
      const state = states.get(socket)
      const { lastRequest = null, bodyFrom = null } = state ?? {}
      if (state && lastRequest && bodyFrom && !lastRequest.complete) countBody(lastRequest, state, bodyFrom)
    }
  }

  return {
    receiving(request, clientAddress) {
      const state = states.get(sockets.plain(request.socket))
      // A request that a test injects has no connection.
      if (!state) return
      const { 'content-length': length, 'transfer-encoding': coding } = request.headers
      if (request.complete || (coding === undefined && (length === undefined || length === '0'))) return
      if (connections.size > bodiesPerPrefix) countBody(request, state, clientAddress)
      else state.bodyFrom = clientAddress
    },

    counts: () => ({ open: connections.size, refused }),
  }
}
