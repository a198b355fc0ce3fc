/** `fetch` for a server of this process: requests reach it without a socket. */
import type { TestServer } from './server.ts'

export const serverFetch =
  ({ inject }: Pick<TestServer, 'inject'>): typeof fetch =>
  async (input, init) => {
    const request = new Request(input as Request, init)
    const url = new URL(request.url)
    const body = await request.text()
    const response = await inject({
      method: request.method as 'GET',
      url: url.pathname + url.search,
      headers: { ...Object.fromEntries(request.headers), host: url.host },
      ...(body === '' ? {} : { payload: body }),
    })
    const headers = new Headers()
    for (const [name, value] of Object.entries(response.headers))
      for (const one of [value].flat()) if (one !== undefined) headers.append(name, String(one))
    const { statusCode: status } = response
    return new Response([204, 304].includes(status) ? null : new Uint8Array(response.rawPayload), {
      status,
      headers,
    })
  }
