import t, { type Test } from 'tap'
import { hasKeys, seedExample, startExample } from '../support/docs/examples.ts'
import { type Listening, listen } from '../support/server/listen.ts'
import { claimsOf, clientCredentials, login } from '../support/server/requests.ts'
import { resigned } from '../support/server/resigned-tokens.ts'
import { client } from '../support/server/seed.ts'
import type { TestServerOptions } from '../support/server/server.ts'

async function orders(t: Test, options: TestServerOptions = {}, port?: number): Promise<Listening> {
  const listening = await listen(t, options, port)
  const { store } = listening.server
  await seedExample(store)
  await store.clients.insert(client({ id: 'stocker', scopes: ['stock:read'] }))
  return listening
}

const call = (url: string, token: string | undefined, method = 'GET', path = '/orders') =>
  fetch(url + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
    },
    ...(method === 'POST' ? { body: '{"item":"a lamp"}' } : {}),
  })

const tokenOf = async (answer: ReturnType<typeof clientCredentials>): Promise<string> =>
  (await answer).json().access_token

t.test('the example service verifies tokens offline (RFC 6750 §3.1)', async (t) => {
  const { server, issuer } = await orders(t)
  const url = await startExample(t, 'orders-api', issuer)

  const machine = await tokenOf(clientCredentials(server))
  await hasKeys(() => call(url, machine))
  const reader = await tokenOf(clientCredentials(server, {}, 'reader'))
  const stocker = await tokenOf(clientCredentials(server, {}, 'stocker'))
  const clerk = await tokenOf(login(server))
  const manager = await tokenOf(login(server, { username: 'bob' }))
  const now = server.clock.now()
  server.clock.set(now - 3600)
  const expired = await tokenOf(clientCredentials(server))
  server.clock.set(now)

  const refused = async (t: Test, answer: Response, status: number, challenge: RegExp) => {
    t.equal(answer.status, status)
    t.match(answer.headers.get('www-authenticate') ?? '', challenge)
  }

  await t.test('a valid token gives access to what its scopes allow', async (t) => {
    const posted = await call(url, machine, 'POST')
    t.equal(posted.status, 201)
    t.same(await posted.json(), { id: '1', item: 'a lamp', by: 'machine' })
    const read = await call(url, reader)
    t.same(await read.json(), [{ id: '1', item: 'a lamp', by: 'machine' }])
    const order = await (await call(url, clerk, 'POST')).json()
    t.equal((order as { by: string }).by, claimsOf(clerk).sub)
  })

  await t.test('a request without a token gets a challenge without an error code', async (t) => {
    const answer = await call(url, undefined)
    t.equal(answer.status, 401)
    t.equal(answer.headers.get('www-authenticate'), 'Bearer realm="orders"')
  })

  await t.test('expired, foreign and damaged tokens get invalid_token', async (t) => {
    const tampered = `${machine.slice(0, -8)}AAAAAAAA`
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${machine.split('.')[1]}.`
    const otherType = await resigned(server, machine, {}, 'JWT')
    const otherIssuer = await resigned(server, machine, { iss: 'https://elsewhere.example' })
    const tokens = [expired, stocker, otherIssuer, otherType, tampered, unsigned, 'garbage', '"']
    for (const token of tokens) {
      await refused(
        t,
        await call(url, token),
        401,
        /^Bearer error="invalid_token", error_description="[^"]+"$/,
      )
    }
  })

  await t.test('a missing scope or role gets insufficient_scope', async (t) => {
    await refused(t, await call(url, reader, 'POST'), 403, /error="insufficient_scope", scope="orders:write"/)
    await refused(t, await call(url, clerk, 'DELETE'), 403, /error="insufficient_scope"/)
    await refused(t, await call(url, machine, 'DELETE'), 403, /error="insufficient_scope"/)
  })

  await t.test('the right role gives access', async (t) => {
    t.equal((await call(url, manager, 'DELETE')).status, 204)
  })

  await t.test('cached keys keep working while the server is down', async (t) => {
    await server.app.close()
    await t.rejects(fetch(`${issuer}/health/live`), 'the server is really down')
    t.equal((await call(url, machine)).status, 200)
    await refused(t, await call(url, expired), 401, /invalid_token/)
  })
})

t.test('the example service starts without its issuer, answers 503, and recovers', async (t) => {
  const { server, issuer, port } = await orders(t)
  const token = await tokenOf(clientCredentials(server))
  await server.app.close()

  const url = await startExample(t, 'orders-api', issuer)
  const early = await call(url, token)
  t.equal(early.status, 503)
  t.ok(early.headers.get('retry-after'))
  t.equal(early.headers.get('www-authenticate'), null, 'a valid token is not reported as invalid')

  const again = await orders(t, {}, port)
  t.equal((await call(url, await tokenOf(clientCredentials(again.server)))).status, 200)
})
