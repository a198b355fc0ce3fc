/** Administration through the API when answers are lost on the way. */
import t, { type Test } from 'tap'
import { createRemoteAdmin } from '../../src/admin/remote.ts'
import { systemRandom } from '../../src/system.ts'
import { administrator } from '../support/server/administrator.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { serverFetch } from '../support/server/server-fetch.ts'

const LOST = new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNRESET' }) })

/** `lose(n)` loses the answers to the next n requests, after the server has acted. `sent` has all requests. */
async function remote(t: Test) {
  const server = await testServer()
  t.teardown(server.close)
  const { token } = await administrator(server)
  const reach = serverFetch(server)
  const sent: string[] = []
  let losing = 0
  const admin = createRemoteAdmin({
    server: ISSUER,
    accessToken: () => token(),
    randomId: () => systemRandom.id(),
    async fetch(url, init) {
      sent.push(`${init?.method} ${new URL(String(url)).pathname}`)
      const answer = await reach(url, init)
      losing -= 1
      if (losing >= 0) throw LOST
      return answer
    },
  })
  const actions = (event: 'role.changed' | 'client.changed') =>
    server.logger.audits(event).map(({ action }) => action)
  return { server, admin, sent, actions, lose: (count: number) => (losing = count) }
}

const CLERK = { name: 'clerk', scopes: ['admin:read'] }

t.test('a creation whose answer is lost is sent again, and acts once', async (t) => {
  const { admin, lose, actions } = await remote(t as Test)
  lose(1)
  t.match(await admin.roles.create(CLERK), { value: CLERK })
  t.same(actions('role.changed'), ['created'])
})

t.test('a secret that was in a lost answer is not made twice, and a note says how to go on', async (t) => {
  const { server, admin, lose } = await remote(t as Test)
  const shop = { client_name: 'Shop', client_id: 'shop', grant_types: ['client_credentials'], scope: '' }
  lose(1)
  const created = await admin.clients.create(shop)
  t.equal(created.value.client_secret, undefined)
  t.match(created.notes.at(-1), /^only the first answer .* contained the secret: .* make another one$/)
  lose(1)
  const { secret_id: unknown } = (await admin.clients.addSecret('shop', { overlap_seconds: 60 })).value
  t.equal((await server.store.clients.find('shop'))?.secrets.length, 2)
  await admin.clients.endSecret('shop', unknown)
  const good = await admin.clients.addSecret('shop', { overlap_seconds: 60 })
  t.type(good.value.client_secret, 'string')
  t.notMatch(good.notes.join(), /first answer/)
})

t.test('a link that was in a lost answer is replaced by another one', async (t) => {
  const { admin, lose } = await remote(t as Test)
  lose(1)
  t.type((await admin.users.invite('alice', { name: 'Alice' })).value.link, 'string')
  t.match((await admin.users.find('alice')).value, { name: 'Alice' })
})

t.test('a request that could act twice is not sent again, and none is sent a third time', async (t) => {
  const { admin, lose, sent } = await remote(t as Test)
  await admin.roles.create(CLERK)
  sent.length = 0
  lose(1)
  await t.rejects(admin.roles.update('clerk', { require_second_factor: true }), {
    code: 'server_unreachable',
  })
  lose(1)
  await t.rejects(admin.roles.delete('clerk'), { message: `${ISSUER} does not answer (ECONNRESET)` })
  t.same(sent, ['PATCH /admin/v1/roles/clerk', 'DELETE /admin/v1/roles/clerk'])
  lose(2)
  await t.rejects(admin.roles.list({}), { code: 'server_unreachable' })
  t.equal(sent.length, 4)
  lose(1)
  t.same((await admin.roles.list({})).items, [])
})

t.test('a repetition that finds the first request in progress says that it may have acted', async (t) => {
  const { server, admin, lose } = await remote(t as Test)
  Object.assign(server.store.idempotency, { finish: () => Promise.reject(new Error('the store is gone')) })
  lose(1)
  await t.rejects(admin.roles.create(CLERK), {
    code: 'server_unreachable',
    message: /may have done this, and its answer was lost: look before/,
  })
})

t.test('an administrator who has used too many keys still creates, without one', async (t) => {
  const { server, admin, sent } = await remote(t as Test)
  const { writeLimiter } = server.deps.accounts
  Object.assign(writeLimiter, { take: () => 60 })
  t.match(await admin.roles.create(CLERK), { value: CLERK })
  t.same(sent, Array(2).fill('POST /admin/v1/roles'))
})
