/**
 * The two sockets of a TLS connection: the plain one, which exists from the first packet, and the TLS socket, which appears after the
 * handshake and carries the requests. Connections are counted and closed from the first packet on, so both must be found from each
 * other. Must not know who asks.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

export interface ConnectionSockets {
  /** The socket that the event `connection` had. */
  plain(socket: Socket): Socket
  /** The socket that requests arrive on; null during the handshake of TLS. */
  carrier(plain: Socket): Socket | null
}

const ITSELF: ConnectionSockets = { plain: (socket) => socket, carrier: (socket) => socket }

/** Must be called before the server listens. */
export function connectionSockets(server: Server): ConnectionSockets {
  if (!isTls(server)) return ITSELF
  const handshaking = new Map<string, Socket>()
  const plainOf = new WeakMap<Socket, Socket>()
  const carrierOf = new WeakMap<Socket, Socket>()
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    handshaking.set(name, socket)
    socket.once('close', () => {
      if (handshaking.get(name) === socket) handshaking.delete(name)
    })
  })
  // Node.js does not tell which connection a TLS socket belongs to, but both have the same addresses and ports, and no other has.
  server.prependListener('secureConnection', (secure: Socket) => {
    const name = nameOf(secure)
    const socket = handshaking.get(name)
    if (!socket) return
    handshaking.delete(name)
    plainOf.set(secure, socket)
    carrierOf.set(socket, secure)
  })
  return {
    plain: (socket) => plainOf.get(socket) ?? socket,
    carrier: (socket) => carrierOf.get(socket) ?? null,
  }
}

const isTls = (server: Server): boolean => server instanceof TlsServer

const nameOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
