/** Browsers open connections in advance. Node counts them as busy, so a server that stops would wait for them. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { connectionSockets } from './tls/sockets.ts'

/** Returns a function that closes all connections on which no byte of a request has arrived. */
export function watchUnusedConnections(server: Server): () => void {
  const open = new Set<Socket>()
  const sockets = connectionSockets(server)
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return () => {
    for (const socket of open) if ((sockets.carrier(socket)?.bytesRead ?? 0) === 0) socket.destroy()
  }
}
