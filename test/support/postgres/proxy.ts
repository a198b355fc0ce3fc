/** A proxy in front of a database, which its tests put between a node and the server. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Owner } from '../processes/data-folder.ts'

export interface DatabaseProxy {
  /** The same database through the proxy. The connection has no TLS, and the server must not offer it. */
  readonly url: string
  /** Cuts all connections, without a word to either side. */
  cut(): void
}

/** @param join carries the bytes of a new connection in both directions. When one side ends, so does the other. */
export async function startProxy(
  owner: Owner,
  url: string,
  join: (client: Socket, server: Socket) => void,
): Promise<DatabaseProxy> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    join(client, server)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  owner.teardown(() => {
    proxy.close()
    cut()
  })
  const through = new URL(url)
  through.port = String((proxy.address() as AddressInfo).port)
  return { url: through.href, cut }
}
