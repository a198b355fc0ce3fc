import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { createLogger } from '../../src/log/logger.ts'
import { goodRequests, postText, seedEndpoints } from '../support/server/endpoints.ts'
import { asserting } from '../support/server/jws.ts'
import { collector, tracingTo } from '../support/server/otlp.ts'
import { basic, encodeForm, type Form, post } from '../support/server/requests.ts'
import { client, PASSWORD, SECRET } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

/** Put into every place where a careless client may put a secret. */
const MARK = 'hush-hush'

/**
 * Requests of all kinds, valid, invalid and malformed, until the store itself is down. Returns all values that no log
 * may contain.
 */
async function everything(
  t: Test,
  options: TestServerOptions,
): Promise<{ server: TestServer; secrets: Set<string> }> {
  const masterKey = Buffer.alloc(32, 3).toString('base64url')
  const server = await testServer({
    ...options,
    masterKey,
    fetchJwks: async () => {
      throw new Error('the client’s server is down')
    },
  })
  const { key } = await seedEndpoints(server)
  await server.store.clients.insert(
    client({ id: 'remote', authMethod: 'private_key_jwt', jwksUri: 'https://c.test' }),
  )
  const secrets = new Set([SECRET, PASSWORD, MARK, masterKey])
  const hide = (values: Form) => {
    for (const name of ['client_secret', 'password', 'token', 'refresh_token', 'client_assertion']) {
      if (values[name]) secrets.add(String(values[name]))
    }
  }

  async function round(expected: RegExp) {
    for (const request of goodRequests(server, key)) {
      const form = await request.form().catch(() => ({ token: MARK, grant_type: 'client_credentials' }))
      hide(form)
      if (request.headers.authorization) secrets.add(request.headers.authorization)
      const good = await postText(server, request, encodeForm(form))
      t.match(String(good.statusCode), expected, request.name)
      if (good.body.startsWith('{')) {
        const { access_token, refresh_token } = good.json()
        for (const token of [access_token, refresh_token]) if (token) secrets.add(token)
      }
      for (const name of Object.keys(form))
        await postText(server, request, encodeForm({ ...form, [name]: MARK }))
      await postText(server, request, `${encodeForm(form)}&x=%zz${MARK}`)
      await postText(server, { ...request, url: `${request.url}?password=${MARK}` }, encodeForm(form))
      await postText(server, request, `{"password":"${MARK}"}`, { 'content-type': 'application/json' })
      await postText(server, request, MARK.repeat(20_000))
      await server.inject({ method: 'GET', url: `${request.url}?token=${MARK}`, headers: request.headers })
      await server.inject({ method: 'POST', url: `/${MARK}%zz` })
    }
    const payload = (text: string) => Buffer.from(text).toString('base64url')
    const broken = [
      `${payload('{"alg":"ES256"}')}.${payload(`{"sub":"signer","${MARK}`)}.AAAA`,
      `${payload(`{"alg":"${MARK}"}`)}.${payload('{"sub":"signer"}')}.AAAA`,
      `${payload('{"alg":"ES256"}')}.${payload(`{"sub":"remote","note":"${MARK}"}`)}.AAAA`,
    ]
    for (const text of broken) {
      secrets.add(text)
      await post(server, '/oauth2/token', { grant_type: 'client_credentials', ...asserting(text) })
    }
    for (const authorization of [
      `Basic ${MARK}`,
      `Bearer ${MARK}`,
      MARK,
      basic(MARK, MARK),
      basic('machine', MARK),
    ]) {
      secrets.add(authorization)
      await post(server, '/oauth2/introspect', { token: MARK }, { authorization, cookie: `session=${MARK}` })
    }
  }

  await round(/^200$/)
  // Now every request fails: error logging is the most careless part of a log.
  await server.store.db.close()
  await round(/^(200|4..|5..)$/)
  await server.app.close()
  return { server, secrets }
}

function containsNone(t: Test, text: string, secrets: Iterable<string>) {
  for (const secret of secrets) {
    const at = text.indexOf(secret)
    t.equal(at, -1, at < 0 ? 'not there' : `…${text.slice(Math.max(0, at - 200), at + 40)}…`)
  }
}

t.test('no log record is given a secret, password, token or Authorization value', async (t) => {
  const { server, secrets } = await everything(t, {})
  const { lines } = server.logger
  for (const level of ['debug', 'info', 'error']) {
    t.ok(
      lines.some((line) => line.level === level),
      `something was logged at ${level}`,
    )
  }
  containsNone(t, inspect(lines, { depth: 20, maxArrayLength: null, maxStringLength: null }), secrets)
})

t.test('the real log at its most verbose, and traces, contain no secret', async (t) => {
  const destination = `${t.testdir()}/log`
  const log = createLogger({ level: 'trace', pretty: false, destination })
  const otlp = await collector(t)
  const tracing = tracingTo(otlp.url)
  const { secrets } = await everything(t, { log, tracing })
  await tracing.stop()
  log.info('the end')
  const read = () => readFileSync(destination, 'utf8')
  while (!read().includes('the end')) await wait(5)
  const text = read()
  for (const line of text.trim().split('\n')) JSON.parse(line)
  t.match(text, /"audit":"token.issued"/)
  t.match(text, /"request failed"/)
  t.match(text, /"trace_id":"[0-9a-f]{32}"/)
  containsNone(t, text, secrets)
  t.ok(otlp.spans().some(({ status }) => status === 2))
  containsNone(t, Buffer.concat(otlp.delivered.map(({ body }) => body)).toString('utf8'), secrets)
})
