/** examples/dpop: a service calls another with a token that is bound to its key (RFC 9449). */
import t, { type Test } from 'tap'
import { startExample } from '../support/docs/examples.ts'
import { runningClock } from '../support/server/clock.ts'
import { listen } from '../support/server/listen.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { client, SECRET, seed } from '../support/server/seed.ts'

t.test('reports calls orders-api with its key, and nobody else can use a token there', async (t) => {
  const { server, issuer } = await listen(t as Test, { clock: runningClock() })
  await seed(server.store)
  await server.store.clients.insert(client({ id: 'reports', scopes: ['orders:read'], requireDpop: true }))
  const orders = await startExample(t as Test, 'dpop', issuer, { program: 'orders-api.ts' })
  const env = { CLIENT_ID: 'reports', CLIENT_SECRET: SECRET, ORDERS_API: orders }
  const reports = await startExample(t as Test, 'dpop', issuer, { program: 'reports.ts', env })

  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`${reports}/report`)
    t.equal(answer.status, 200)
    t.same(await answer.json(), { orders: 1 })
  }

  const bare = (await clientCredentials(server)).json().access_token
  const refused = await fetch(`${orders}/orders`, { headers: { authorization: `Bearer ${bare}` } })
  t.equal(refused.status, 401)
  t.match(refused.headers.get('www-authenticate'), /^Bearer .*error="invalid_token".*, DPoP /)
  t.match(await clientCredentials(server, {}, 'reports'), { statusCode: 400 }, 'the client needs a proof')
})

t.test('reports says what it needs, and ends', async (t) => {
  const env = { CLIENT_ID: '', CLIENT_SECRET: '' }
  const started = startExample(t as Test, 'dpop', 'http://127.0.0.1:9', { program: 'reports.ts', env })
  await t.rejects(started, /reports\.ts ended with 2/)
})
