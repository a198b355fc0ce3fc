import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import t, { type Test } from 'tap'
import { createApp } from '../../src/http/app.ts'
import { CONNECTION_LIMITS, type ConnectionLimits } from '../../src/http/listener.ts'
import { basic, clientCredentials, encodeForm, login, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { type Connection, openConnection, postBytes } from '../support/server/tcp-connection.ts'
import { HANG_MS, until } from '../support/server/waiting.ts'

/** Nothing is cut off, however slow this machine is. Each test shortens what it is about. */
const PATIENT: ConnectionLimits = {
  request: HANG_MS,
  headers: HANG_MS,
  keepAlive: HANG_MS,
  socket: HANG_MS,
  check: 50,
  requests: 100,
}

async function serving(
  t: Test,
  limits: Partial<ConnectionLimits> = {},
): Promise<{ server: TestServer; http: Server; port: number; connections: () => Promise<number> }> {
  const server = await testServer()
  await seed(server.store)
  const app = await createApp({
    server: server.deps,
    logger: server.logger as unknown as FastifyBaseLogger,
    limits: { ...PATIENT, ...limits },
  })
  t.teardown(async () => {
    await app.close()
    await server.close()
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const connections = () =>
    new Promise<number>((resolve, reject) =>
      app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    )
  return { server, http: app.server, port, connections }
}

const BODY = encodeForm({ grant_type: 'client_credentials' })
const REQUEST = postBytes('/oauth2/token', BODY, [`authorization: ${basic('machine')}`])
const HEADERS = REQUEST.slice(0, REQUEST.length - BODY.length)

/** Sends a byte now and then until it is cut off, and returns the response. */
async function drip(connection: Connection, text: string): Promise<string> {
  let cut = false
  connection.closed.then(() => {
    cut = true
  })
  for (const letter of text) {
    if (cut) break
    connection.send(letter)
    await wait(30)
  }
  return connection.closed
}

t.test('every timeout is set and finite (RFC 9110 §15.5.9; docs/security.md Q12)', async (t) => {
  const { request, headers, keepAlive, socket, check, requests } = CONNECTION_LIMITS
  t.ok(headers <= request && request <= 30_000)
  t.ok(request < keepAlive && keepAlive < socket && socket <= 120_000)
  t.ok(check <= 5000)
  t.ok(requests > 0)
})

t.test(
  'headers that arrive too slowly are refused with 408 (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { port } = await serving(t as Test, { headers: 400 })
    const answer = await drip(await openConnection(t, port), HEADERS)
    t.match(answer, /^HTTP\/1\.1 408 /)
    t.match(answer, /"error":"invalid_request"/)
  },
)

t.test(
  'a body that arrives too slowly is refused with 408 (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { port } = await serving(t as Test, { headers: 400, request: 400 })
    const connection = await openConnection(t, port)
    connection.send(HEADERS)
    t.match(
      await drip(connection, `${BODY}&x=`.padEnd(1000, 'x').slice(0, BODY.length - 1)),
      /^HTTP\/1\.1 408 /,
    )
  },
)

t.test(
  'a body in one-byte chunks that arrives in time is accepted (RFC 9110 §15.5.9, RFC 9112 §6; docs/security.md Q12, Q13)',
  async (t) => {
    const { port } = await serving(t as Test)
    const connection = await openConnection(t, port)
    connection.send(HEADERS.replace(/content-length: \d+/, 'transfer-encoding: chunked'))
    for (const letter of BODY) connection.send(`1\r\n${letter}\r\n`)
    connection.send('0\r\n\r\n')
    t.match(await connection.until(/access_token|error/), /^HTTP\/1\.1 200 /)
  },
)

t.test(
  'a connection that sends nothing, or stops sending, is closed (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const silent = await openConnection(t, (await serving(t as Test, { socket: 100 })).port)
    await silent.closed
    t.pass('the first is closed')
    const idle = await openConnection(t, (await serving(t as Test, { keepAlive: 100 })).port)
    idle.send(REQUEST)
    await idle.until(/access_token/)
    t.notMatch(await idle.closed, / 408 /, 'an idle connection gets no error response')
  },
)

t.test(
  'a client that does not read responses loses its connection (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { port, connections } = await serving(t as Test, {
      requests: 0,
      headers: 400,
      request: 400,
      socket: 400,
    })
    const deaf = await openConnection(t, port)
    deaf.stopReading()
    // More responses than all buffers on the way hold.
    const ask = 'GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(500)
    for (let i = 0; i < 40; i += 1) deaf.send(ask)
    await until(async () => (await connections()) === 0)
    t.pass('it is closed')
  },
)

t.test(
  'a connection is closed after its maximum number of requests (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { http, port } = await serving(t as Test)
    const connection = await openConnection(t, port)
    const ask = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n'
    for (let i = 0; i < PATIENT.requests; i += 1) {
      // Node leaves it to the client to close the connection, or closes it when it has been idle.
      if (i === PATIENT.requests - 1) http.keepAliveTimeout = 50
      connection.send(ask)
      await until(() => connection.received().split('"live"').length === i + 2)
    }
    const answers = (await connection.closed).split(/(?=HTTP\/1\.1 )/)
    t.equal(answers.length, PATIENT.requests)
    t.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 200')))
    t.match(answers.at(-1), /connection: close/i, 'and the last response says so')
  },
)

t.test(
  'two hundred slow clients do not affect others and leave nothing behind (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { http, port, connections } = await serving(t as Test)
    const starts = ['', 'POST /oauth2/token HT', HEADERS.slice(0, -3), HEADERS, REQUEST.slice(0, -1)]
    const slow = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const connection = await openConnection(t, port)
        connection.send(starts[i % starts.length] ?? '')
        return connection
      }),
    )
    for (let i = 0; i < 20; i += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/oauth2/token`, {
        method: 'POST',
        headers: { authorization: basic('machine'), connection: 'close' },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      })
      t.equal(answer.status, 200, await answer.text())
    }
    t.equal(await connections(), slow.length, 'all of them during the slow requests')
    // The limits of a running server, so that none is reached before.
    Object.assign(http, { headersTimeout: 1, requestTimeout: 1 })
    await Promise.all(slow.map((connection) => connection.closed))
    await until(async () => (await connections()) === 0)
    t.pass('no connection is left')
  },
)

t.test(
  'a client that disconnects at any byte leaves a refresh done or not begun (docs/security.md Q16)',
  async (t) => {
    const { server, port, connections } = await serving(t as Test)
    let token: string = (await login(server)).json().refresh_token
    const sessionOf = async () => (await server.store.clientSessions.list({}, 1))[0]
    const offsets = (length: number) => [
      ...Array.from({ length: Math.ceil(length / 23) }, (_, i) => i * 23),
      length - 1,
      length,
    ]
    const bytesOf = () => {
      const body = encodeForm({ grant_type: 'refresh_token', refresh_token: token })
      return postBytes('/oauth2/token', body, [`authorization: ${basic('app')}`])
    }
    for (const offset of offsets(bytesOf().length)) {
      const bytes = bytesOf()
      const whole = offset === bytes.length
      const before = (await sessionOf())?.generation ?? 0
      const connection = await openConnection(t, port)
      connection.send(bytes.slice(0, offset))
      // Right after the last byte and before any response, or in the middle.
      await wait(whole ? 0 : 5)
      connection.reset()
      await until(async () => (await connections()) === 0)

      const answer = await refresh(server, token)
      t.equal(answer.statusCode, 200, `cut off after ${offset} of ${bytes.length} bytes`)
      t.equal((await sessionOf())?.generation, before + 1, 'one successor, whichever request was first')
      token = answer.json().refresh_token
    }
    t.equal((await clientCredentials(server)).statusCode, 200)
    const errors = server.logger.lines.filter(({ level }) => level === 'error' || level === 'fatal')
    t.same(errors, [], 'and none of this is a server error')
  },
)

t.test(
  'a hundred clients that disconnect right after their request leave no connection (docs/security.md Q16)',
  async (t) => {
    const { server, port, connections } = await serving(t as Test)
    const session = (await login(server)).json().refresh_token
    const body = encodeForm({ grant_type: 'refresh_token', refresh_token: session })
    const bytes = postBytes('/oauth2/token', body, [`authorization: ${basic('app')}`])
    const rude = await Promise.all(Array.from({ length: 100 }, () => openConnection(t, port)))
    for (const connection of rude) connection.send(bytes)
    await wait(2)
    for (const connection of rude) connection.reset()
    await until(async () => (await connections()) === 0)
    const answer = await refresh(server, session)
    t.equal(answer.statusCode, 200, 'all requests got the same successor')
  },
)
