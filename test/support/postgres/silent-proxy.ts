/** Stands before a PostgreSQL and can fall silent, as a network does that is cut: nothing is refused, nothing arrives. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Owner } from '../processes/data-folder.ts'

export interface SilentProxy {
  /** The same database by way of it. */
  readonly url: string
  silence(): void
  /** What was held back arrives. */
  resume(): void
}

export async function throughSilentProxy(owner: Owner, url: string): Promise<SilentProxy> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let silent = false

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    const pair = [client, upstream] as const
    for (const [i, socket] of pair.entries()) {
      const other = pair[1 - i] as Socket
      sockets.add(socket)
      socket.on('data', (chunk) => other.write(chunk))
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      if (silent) socket.pause()
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  owner.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })

  const by = new URL(url)
  by.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: by.href,
    silence() {
      silent = true
      for (const socket of sockets) socket.pause()
    },
    resume() {
      silent = false
      for (const socket of sockets) socket.resume()
    },
  }
}
