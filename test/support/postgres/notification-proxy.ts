/** A proxy that drops notifications, like a pooler that gives each transaction another connection. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import type { Owner } from '../processes/data-folder.ts'

/** The type byte of NotificationResponse. A message is a type byte, a four-byte length that counts itself, and the content. */
const NOTIFICATION = 'A'.charCodeAt(0)

function withoutNotifications(drops: () => boolean): Transform {
  let rest = Buffer.alloc(0)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 5) {
        const length = 1 + rest.readUInt32BE(1)
        if (rest.length < length) break
        if (rest[0] !== NOTIFICATION || !drops()) this.push(rest.subarray(0, length))
        rest = rest.subarray(length)
      }
      done()
    },
  })
}

/**
 * Returns a URL of the same database through the proxy. The connection has no TLS, and the server must not offer it.
 * @param drops whether notifications are dropped now; by default always
 */
export async function withoutNotificationDelivery(
  owner: Owner,
  url: string,
  drops = () => true,
): Promise<string> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream).pipe(withoutNotifications(drops)).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  owner.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const through = new URL(url)
  through.port = String((server.address() as AddressInfo).port)
  return through.href
}
