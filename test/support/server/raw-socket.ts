import { once } from 'node:events'
import { connect } from 'node:net'
import { HANG_MS } from './waiting.ts'

export interface RawAnswer {
  readonly status: number
  /** By lower-case name; the last one wins. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Everything that was received. */
  readonly text: string
}

/** Writes raw bytes to a port, and reads until the other side closes or has been silent for a while. */
export async function exchange(
  port: number,
  parts: readonly (string | Uint8Array)[],
  { silence = HANG_MS } = {},
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // A server may close after its response before it has read everything; the response counts.
  socket.on('error', () => {})
  await once(socket, 'connect')
  for (const part of parts) {
    if (!socket.writable) break
    socket.write(part)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.setTimeout(silence, () => socket.destroy())
  await once(socket, 'close')
  return parse(Buffer.concat(chunks).toString('latin1'))
}

/** The last response in the text: an interim 100 comes before the real one. */
function parse(text: string): RawAnswer {
  const interim = /^HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n/.exec(text)?.[0].length ?? 0
  const end = text.indexOf('\r\n\r\n', interim)
  const [first = '', ...lines] = text.slice(interim, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  return { status: Number(first.split(' ')[1]), headers, body: text.slice(end + 4), text }
}
