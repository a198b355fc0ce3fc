/** A proxy that drops notifications, like a pooler that gives each transaction another connection. */
import { Transform } from 'node:stream'
import type { Owner } from '../processes/data-folder.ts'
import { startProxy } from './proxy.ts'

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
 * Returns a URL of the same database through the proxy.
 * @param drops whether notifications are dropped now; by default always
 */
export async function withoutNotificationDelivery(
  owner: Owner,
  url: string,
  drops = () => true,
): Promise<string> {
  const proxy = await startProxy(owner, url, (client, server) => {
    client.pipe(server).pipe(withoutNotifications(drops)).pipe(client)
  })
  return proxy.url
}
