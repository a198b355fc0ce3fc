/** The application in which a library runs: a server of its own, on a port that is known before it starts. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { Test } from 'tap'

export async function listenAt(t: Test, origin: string, listener: RequestListener): Promise<void> {
  const server = createServer(listener).listen(Number(new URL(origin).port), '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
}

/** For libraries that take a Web request and return a Web response. */
export const fetchListener =
  (origin: string, handler: (request: Request) => Promise<Response>): RequestListener =>
  async (incoming, outgoing) => {
    const response = await handler(await webRequest(origin, incoming))
    for (const [name, value] of response.headers) {
      if (name !== 'set-cookie') outgoing.setHeader(name, value)
    }
    const cookies = response.headers.getSetCookie()
    if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies)
    outgoing.writeHead(response.status).end(await response.text())
  }

async function webRequest(origin: string, incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const headers = Object.entries(incoming.headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one): [string, string] => [name, one]),
  )
  const { method = 'GET', url = '/' } = incoming
  const body = chunks.length === 0 ? null : Buffer.concat(chunks)
  return new Request(new URL(url, origin), { method, headers, body })
}
