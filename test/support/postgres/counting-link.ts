/** A connection to the database that can be watched, and that can lose an answer. */
import type { Owner } from '../processes/data-folder.ts'
import { type DatabaseProxy, startProxy } from './proxy.ts'

export interface Link extends DatabaseProxy {
  /** How often the client has sent something after the server's last answer. */
  roundTrips(): number
  /** The next answer of the database is lost, and the client is told so, as by a pooler that has lost its server. */
  loseAnswer(code: string): void
}

/** An ErrorResponse: a type byte, the length, and fields with one letter each. */
function fatal(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mthe connection to the server was lost\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeUInt32BE(4 + fields.length, 1)
  return Buffer.concat([head, fields])
}

/** A proxy in front of the database that counts round trips. */
export async function countingLink(owner: Owner, url: string): Promise<Link> {
  let roundTrips = 0
  let lost: Buffer | undefined
  const proxy = await startProxy(owner, url, (client, server) => {
    let answered = true
    client.on('data', () => {
      if (answered) roundTrips += 1
      answered = false
    })
    server.on('data', (answer) => {
      answered = true
      if (lost) client.end(lost)
      else client.write(answer)
      lost = undefined
    })
    client.pipe(server)
  })
  const loseAnswer = (code: string) => {
    lost = fatal(code)
  }
  return { ...proxy, roundTrips: () => roundTrips, loseAnswer }
}
