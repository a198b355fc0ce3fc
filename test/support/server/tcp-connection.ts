/** One TCP connection, written by hand: slowly, partly, or broken off. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Owner } from '../processes/data-folder.ts'

export interface Connection {
  send(text: string | Uint8Array): void
  /** Stops reading, so that the other side's buffers fill. */
  stopReading(): void
  /** Disconnects with RST: data in flight is lost. */
  reset(): void
  /** Everything received so far. */
  received(): string
  /** Resolves with everything received, once it matches. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with everything received, once the other side has closed. */
  readonly closed: Promise<string>
}

/** @param from address of this machine, such as 127.0.0.2, so that connections come from several IP prefixes */
export async function openConnection(owner: Owner, port: number, from = '127.0.0.1'): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true })
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  // Many of these connections are meant to be cut off.
  socket.on('error', () => {})
  owner.teardown(() => socket.destroy())
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  await once(socket, 'connect')
  return {
    send: (part) => socket.write(part),
    stopReading: () => socket.pause(),
    reset: () => socket.resetAndDestroy(),
    received: () => text,
    async until(pattern) {
      while (!pattern.test(text)) {
        if (socket.destroyed) throw new Error(`the connection was closed after: ${text}`)
        await wait(5)
      }
      return text
    },
    closed,
  }
}

/** A POST of a form as bytes; `extra` are additional header lines. */
export function postBytes(path: string, body: string, extra: readonly string[] = []): string {
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: 127.0.0.1',
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${Buffer.byteLength(body)}`,
    ...extra,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}
