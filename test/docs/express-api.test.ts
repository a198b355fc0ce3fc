import t, { type Test } from 'tap'
import { hasKeys, seedExample, startExample } from '../support/docs/examples.ts'
import { listen } from '../support/server/listen.ts'
import { basic, clientCredentials, login, post } from '../support/server/requests.ts'
import { until } from '../support/server/waiting.ts'

t.test('the Express example checks scope, role and status, and works while the issuer is down', async (t) => {
  const { server, issuer } = await listen(t as Test, { settings: { STATUS_TTL: '1s' } })
  await seedExample(server.store)
  const tokenOf = async (answer: ReturnType<typeof login>): Promise<string> =>
    (await answer).json().access_token
  const machine = await tokenOf(clientCredentials(server))
  const reader = await tokenOf(clientCredentials(server, {}, 'reader'))
  const manager = await tokenOf(login(server, { username: 'bob' }))

  const url = await startExample(t as Test, 'express-api', issuer)
  const call = (token: string | undefined, method = 'GET', path = '/orders') =>
    fetch(url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(method === 'POST' ? { body: '{"item":"a lamp"}' } : {}),
    })
  const outcome = async (answer: Promise<Response>) => {
    const { status, headers } = await answer
    return [status, /error="(\w+)"/.exec(headers.get('www-authenticate') ?? '')?.[1]]
  }

  t.same(await outcome(call(undefined, 'GET', '/health')), [200, undefined])
  t.same(await outcome(call(undefined)), [401, undefined])
  await hasKeys(() => call(machine))
  t.same(await outcome(call(`${machine}x`)), [401, 'invalid_token'])
  t.same(await outcome(call(machine, 'POST')), [201, undefined])
  t.same(await outcome(call(reader)), [200, undefined])
  t.same(await outcome(call(reader, 'POST')), [403, 'insufficient_scope'])
  t.same(await outcome(call(machine, 'DELETE')), [403, 'insufficient_scope'])
  t.same(await outcome(call(manager, 'DELETE')), [204, undefined])

  await post(server, '/oauth2/revoke', { token: reader }, { authorization: basic('reader') })
  await server.poll()
  await until(async () => (await call(reader)).status !== 200)
  t.same(await outcome(call(reader)), [401, 'invalid_token'], 'revoked, and the service knows it')
  await server.poll()
  t.equal((await server.store.verifiers.list(0))[0]?.name, 'orders', 'it reported itself to the issuer')

  await server.app.close()
  t.same(await outcome(call(machine)), [200, undefined], 'the issuer is down, and the service is not')
})
