/** Browsers open connections ahead of time. Node takes them for busy, so a server that stops would wait for them. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Returns what ends the connections on which nothing has come yet; those with a request, or half of one, stay. */
export function watchUnusedConnections(server: Server): () => void {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return () => {
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
  }
}
