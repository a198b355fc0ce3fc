/**
 * Receives the authorization response on a loopback port (RFC 8252 §7.3). Must not know what the response means.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { callbackPage, PAGE_HEADERS } from './callback-page.ts'

const PATH = '/callback'

interface Arrival {
  /** The URL that the browser was sent to, with the parameters of the response. */
  readonly url: URL
  /** Ends the browser's part; resolves when the page has been sent. */
  reply(message: { readonly ok: boolean; readonly text: string }): Promise<void>
}

export interface Callback {
  readonly redirectUri: string
  /** Resolves with the first response that has this `state`. Others are refused, so that no other page can end the sign-in. */
  arrival(state: string): Promise<Arrival>
  close(): void
}

export async function listenForCallback(): Promise<Callback> {
  let expected: { readonly state: string; readonly arrive: (arrival: Arrival) => void } | undefined
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', redirectUri)
    if (url.pathname !== PATH || request.method !== 'GET')
      return send(response, 404, 'There is no such page.')
    if (expected === undefined || url.searchParams.get('state') !== expected.state)
      return send(response, 400, 'This is not the sign-in that the command waits for.')
    const { arrive } = expected
    expected = undefined
    arrive({
      url,
      reply: ({ ok, text }) =>
        new Promise((resolve) => {
          response.on('close', resolve)
          send(response, ok ? 200 : 400, text, ok)
        }),
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    // Only the address and not `localhost`, which may be another machine (RFC 8252 §8.3).
    server.listen(0, '127.0.0.1', resolve)
  })
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`
  return {
    redirectUri,
    arrival: (state) =>
      new Promise((resolve) => {
        expected = { state, arrive: resolve }
      }),
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function send(response: ServerResponse, status: number, text: string, ok = false): void {
  response.writeHead(status, { ...PAGE_HEADERS, connection: 'close' })
  response.end(callbackPage(ok ? 'Signed in' : 'Not signed in', text))
}
