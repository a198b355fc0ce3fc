/** A client’s own server, as far as the authorization server calls it: a real one, on a port of this machine. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

interface Received {
  readonly method: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly form: URLSearchParams
}

export interface RelyingParty {
  readonly uri: string
  /** What it received, in order, also while it does not respond. */
  readonly received: Received[]
  /** Calls that are waiting for its response. */
  readonly open: () => number
}

type Behaviour = (response: ServerResponse, path: string) => void

export const answers =
  (status: number, headers: Record<string, string> = {}): Behaviour =>
  (response) =>
    response.writeHead(status, headers).end()

export const hangs: Behaviour = () => {}

export async function relyingParty(t: Test, behave: Behaviour = answers(200)): Promise<RelyingParty> {
  const received: Received[] = []
  let open = 0
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    open += 1
    response.on('close', () => {
      open -= 1
    })
    received.push({ method: request.method, headers: request.headers, form: new URLSearchParams(body) })
    behave(response, request.url ?? '')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { uri: `http://127.0.0.1:${port}/logout`, received, open: () => open }
}
