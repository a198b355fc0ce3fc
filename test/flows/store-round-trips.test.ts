/**
 * How often a request asks the store. On PostgreSQL each query is a round trip, and so is a batch of one step; a batch of several takes
 * three (test/store/postgres-round-trips.test.ts). These numbers may become smaller, not larger.
 */
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { redeem, seedUsers, signIn, tokensOf } from '../support/browser/sign-in.ts'
import { countQueries } from '../support/server/query-count.ts'
import { testServer } from '../support/server/server.ts'
import { introspect, refreshed, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
const browser = openBrowser(server)
await signIn(browser, { client_id: 'own' })
const tokens = async () => {
  const { code } = await signIn(browser, { client_id: 'own' })
  return tokensOf(await redeem(server, code, { as: 'own' }))
}
// What is read once is not counted: the ring, the registry, a block of status indices, a status list.
const warm = await tokens()
await refreshed(server, warm.refresh_token, {}, 'own')
await introspect(server, warm.access_token, 'own')

/** What `work` asks of the store: the number of queries, the steps of each batch, and how often it waits. */
async function askedBy(
  work: () => Promise<unknown>,
): Promise<{ queries: number; batches: readonly number[]; waits: number }> {
  const asked = countQueries(server.store)
  await work()
  const batches = [...asked.batches()]
  return { queries: asked.count() - batches.length, batches, waits: asked.waits() }
}

t.test('a refresh makes one query and a batch of one step: two round trips on PostgreSQL', async (t) => {
  const { refresh_token } = await tokens()
  t.same(await askedBy(() => refreshed(server, refresh_token, {}, 'own')), {
    queries: 1,
    batches: [1],
    waits: 2,
  })
})

t.test('the redemption of a code makes one query and one batch', async (t) => {
  const { code } = await signIn(browser, { client_id: 'own' })
  const asked = await askedBy(async () => tokensOf(await redeem(server, code, { as: 'own' })))
  t.match(asked, { queries: 1, batches: { length: 1 }, waits: 2 })
})

t.test(
  'userinfo and introspection of an access token make two queries, which are sent together',
  async (t) => {
    const { access_token } = await tokens()
    const userinfo = () =>
      server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${access_token}` } })
    t.same(await askedBy(userinfo), { queries: 2, batches: [], waits: 1 })
    t.same(await askedBy(() => introspect(server, access_token, 'own')), {
      queries: 2,
      batches: [],
      waits: 1,
    })
  },
)

t.test('introspection of a refresh token makes one query', async (t) => {
  const { refresh_token } = await tokens()
  t.same(await askedBy(() => introspect(server, refresh_token, 'own')), { queries: 1, batches: [], waits: 1 })
})

t.test(
  'the password grant makes three queries; what it writes after the password travels together',
  async (t) => {
    await signedIn(server)
    // The attempt is counted; then two limits are given back and the location is remembered at once; then the session begins.
    t.same(await askedBy(() => signedIn(server)), { queries: 3, batches: [2, 1, 1, 1, 3], waits: 6 })
  },
)
