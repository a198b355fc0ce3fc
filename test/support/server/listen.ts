import type { Test } from 'tap'
import { freePort } from './free-port.ts'
import { type TestServer, type TestServerOptions, testServer } from './server.ts'

export interface Listening {
  readonly server: TestServer
  readonly issuer: string
  readonly port: number
}

/** A test server on a port of this machine, for clients that are separate programs; closed with the test. */
export async function listen(t: Test, options: TestServerOptions = {}, onPort?: number): Promise<Listening> {
  const port = onPort ?? (await freePort())
  const issuer = `http://127.0.0.1:${port}`
  const server = await testServer({ ...options, settings: { ISSUER: issuer, ...options.settings } })
  t.teardown(() => server.close())
  await server.app.listen({ port, host: '127.0.0.1' })
  return { server, issuer, port }
}
