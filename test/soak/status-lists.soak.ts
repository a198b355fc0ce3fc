/** Status lists at the size and load that the quick tests only approximate. */
import t from 'tap'
import { testVerifier } from '../support/issuers/verifier.ts'
import { basic, claimsOf, clientCredentials, encodeForm, login, post } from '../support/server/requests.ts'
import { client, SECRET, seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const TTL = 10

t.test('100,000 client_credentials tokens add no rows except index leases', async (t) => {
  const server = await testServer()
  t.teardown(() => server.close())
  await seed(server.store)
  const { db } = server.store
  const rows = async () => {
    const tables = await db.query<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`)
    const counts: Record<string, number> = {}
    for (const { name } of tables) {
      const [row] = await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)
      counts[name] = row?.n ?? 0
    }
    return counts
  }
  // The endpoint’s work without HTTP, since the test counts what a token leaves in the store.
  const form = new URLSearchParams({ grant_type: 'client_credentials' })
  const parameters = { get: (name: string) => form.get(name) ?? undefined, all: () => [] }
  const request = {
    pairs: [],
    parameters,
    authorization: basic('machine', SECRET),
    accept: undefined,
    dpop: [],
    certificate: null,
    method: 'POST',
    supplyNonce: () => {},
    endpoint: '',
    ip: '127.0.0.1',
    requestId: 'soak',
  }
  const { tokenRequest } = server.deps.oauth
  await tokenRequest(request)
  const before = await rows()
  const seen = new Set<number>()
  let issued = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (issued < 100_000) {
        issued += 1
        const { access_token: token } = await tokenRequest(request)
        const { status_list: entry } = claimsOf(token).status as { status_list: { idx: number } }
        seen.add(entry.idx)
      }
    }),
  )
  t.equal(seen.size, issued, 'every token has its own index')
  const { status_blocks: blocks = 0, ...after } = await rows()
  delete before.status_blocks
  t.same(after, before)
  t.ok(blocks <= 20, `${blocks} leases`)
})

t.test(
  'tokens revoked under load are refused everywhere within the TTL and a poll, without calls to the server',
  async (t) => {
    const server = await testServer({ settings: { STATUS_TTL: `${TTL}s` } })
    t.teardown(() => server.close())
    await seed(server.store)
    await server.store.clients.insert(client({ id: 'busy' }))
    const verifiers = Array.from({ length: 10 }, () =>
      testVerifier(server, { statusList: { onStale: 'reject' } }),
    )
    t.teardown(() => {
      for (const { verifier } of verifiers) verifier.close()
    })
    const tokens = await Promise.all(
      Array.from({ length: 40 }, async () => (await clientCredentials(server)).json().access_token as string),
    )
    const signIn = (await login(server)).json().access_token as string
    const bystander = (await clientCredentials(server, {}, 'busy')).json().access_token as string
    for (const { verifier } of verifiers) await verifier.ready()

    const revoked = [...tokens.slice(0, 20), signIn]
    let loading = true
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (loading) {
          const answer = await clientCredentials(server, {}, 'busy')
          if (answer.statusCode !== 200) throw new Error(answer.body)
        }
      }),
    )
    await Promise.all(
      revoked.map((token) =>
        server.inject({
          method: 'POST',
          url: '/oauth2/revoke',
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            authorization: basic(token === signIn ? 'app' : 'machine'),
          },
          payload: encodeForm({ token }),
        }),
      ),
    )
    await server.poll()
    server.clock.tick(TTL + 1)
    await Promise.all(verifiers.map(({ verifier }) => verifier.ready()))
    const calls = verifiers.map((one) => one.calls.length)
    for (const { verdict } of verifiers) {
      for (const token of revoked) t.equal(await verdict(token), 'revoked')
      for (const token of [...tokens.slice(20), bystander]) t.equal(await verdict(token), 'ok')
    }
    t.same(
      verifiers.map((one) => one.calls.length),
      calls,
      'no call to the server on the request path',
    )
    loading = false
    await load
    t.equal(
      (await post(server, '/oauth2/revoke', { token: 'x' }, { authorization: basic('busy') })).statusCode,
      200,
    )
  },
)
