/** A server of another party that has an image, over real HTTP. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { crc32, deflateSync } from 'node:zlib'
import type { Owner } from '../processes/data-folder.ts'

/** A square of one colour (PNG specification, §11.2). */
export function pngImage(size: number, [red, green, blue]: readonly [number, number, number]): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 2], 8)
  const row = Buffer.concat([Buffer.of(0), Buffer.alloc(3 * size, Buffer.of(red, green, blue))])
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    checksum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, checksum])
  }
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(Array(size).fill(row)))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

export interface ImageServer {
  readonly uri: string
  readonly requestCount: () => number
  /** What the server does with requests from now on. */
  answers(listener: RequestListener): void
}

export async function imageServer(owner: Owner, image: Buffer): Promise<ImageServer> {
  let listener: RequestListener = (_request, response) => response.end(image)
  let requestCount = 0
  const web = createServer((request, response) => {
    requestCount += 1
    listener(request, response)
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  owner.teardown(() => {
    web.closeAllConnections()
    web.close()
  })
  const { port } = web.address() as { port: number }
  return {
    uri: `http://127.0.0.1:${port}/logo.png`,
    requestCount: () => requestCount,
    answers(next) {
      listener = next
    },
  }
}
