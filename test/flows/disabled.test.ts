import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { createUsers } from '../../src/accounts/users.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { claimsOf, clientCredentials, login, refresh } from '../support/server/requests.ts'
import { api, client, ORDERS, PASSWORD, SECRET, STOCK, seed, user } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { introspect, isActive, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

/** An administrator changes something, and every grant and endpoint must respect it (docs/security.md E62). */
const server = await testServer()
t.teardown(() => server.close())
const { store, clock } = server
await seed(store)
await store.clients.insert(client({ id: 'watch', introspects: [ORDERS, STOCK] }))
const users = createUsers({ ...server.deps.base, store, clock, hashing: unlimited }, 'operator:test')

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const INVALID_GRANT = [400, 'invalid_grant']
const INVALID_CLIENT = [401, 'invalid_client']

/** A new user and client for each test, so that no test sees the changes of another. */
let createdCount = 0
async function createUserAndClient(overrides: Partial<Client> = {}) {
  createdCount += 1
  const owner = await user({ username: `user${createdCount}` })
  const id = `client${createdCount}`
  await store.users.insert(owner)
  await store.clients.insert(
    client({ id, grants: ['client_credentials', 'password', 'refresh_token'], ...overrides }),
  )
  const pair = await signedIn(server, { username: owner.username }, id)
  return { owner, id, pair, again: (form = {}) => login(server, { username: owner.username, ...form }, id) }
}

t.test(
  'a disabled user gets no tokens from any grant, and introspection reports existing ones inactive at once (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const { owner, id, pair, again } = await createUserAndClient()
    await store.users.setDisabled(owner.id, true)
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_GRANT)
    t.same(outcome(await again()), INVALID_GRANT)
    t.same((await introspect(server, pair.access_token, 'watch')).json(), { active: false })
    t.same((await introspect(server, pair.refresh_token, id)).json(), { active: false })
    t.equal((await clientCredentials(server, {}, id)).statusCode, 200, 'the client itself is not affected')

    await store.users.setDisabled(owner.id, false)
    await refreshed(server, pair.refresh_token, {}, id)
    t.pass('disabling and enabling a user has ended no session')
  },
)

t.test(
  'disabling a user by command ends the user’s sessions (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { owner, id, pair } = await createUserAndClient()
    await users.setDisabled(owner, true)
    await users.setDisabled(owner, false)
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_GRANT)
  },
)

t.test(
  'a new password ends all sessions of this user and of no other (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { owner, id, pair, again } = await createUserAndClient()
    const elsewhere = await signedIn(server, { username: owner.username }, 'phone')
    const other = await createUserAndClient()
    await users.setPassword(owner, 'a new and better one')
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_GRANT)
    t.same(outcome(await refresh(server, elsewhere.refresh_token, {}, 'phone')), INVALID_GRANT)
    t.notOk(await isActive(server, pair.access_token, id))
    t.same(outcome(await again()), INVALID_GRANT, 'the old password is invalid')
    t.equal((await again({ password: 'a new and better one' })).statusCode, 200)
    await refreshed(server, other.pair.refresh_token, {}, other.id)
  },
)

t.test(
  'a removed role removes its scopes from the next access token (RFC 9700 §4.14.2; docs/security.md F71)',
  async (t) => {
    await store.roles.insert({
      name: 'reader',
      scopes: ['orders:read'],
      requireSecondFactor: false,
      createdAt: 1,
    })
    await store.roles.insert({
      name: 'writer',
      scopes: ['orders:write'],
      requireSecondFactor: false,
      createdAt: 1,
    })
    await server.poll()
    const { owner, id } = await createUserAndClient()
    await store.users.removeRole(owner.id, 'clerk')
    await store.users.addRole(owner.id, 'reader')
    await store.users.addRole(owner.id, 'writer')
    const first = await signedIn(server, { username: owner.username }, id)
    t.equal(first.scope, 'orders:read orders:write')

    await store.users.removeRole(owner.id, 'writer')
    const second = await refreshed(server, first.refresh_token, {}, id)
    t.equal(second.scope, 'orders:read')
    t.same(claimsOf(second.access_token).roles, ['reader'])
    t.same(outcome(await refresh(server, second.refresh_token, { scope: 'orders:write' }, id)), [
      400,
      'invalid_scope',
    ])

    await store.users.removeRole(owner.id, 'reader')
    t.same(
      outcome(await refresh(server, second.refresh_token, {}, id)),
      [400, 'invalid_scope'],
      'no scope left',
    )
    await store.users.addRole(owner.id, 'reader')
    const third = await refreshed(server, second.refresh_token, {}, id)
    t.equal(third.scope, 'orders:read', 'and the refresh token was not consumed by that')
  },
)

t.test(
  'reduced role or client scopes take effect at the next refresh (RFC 9700 §4.14.2; docs/security.md F71)',
  async (t) => {
    await store.roles.insert({
      name: 'helper',
      scopes: ['orders:read', 'orders:write'],
      requireSecondFactor: false,
      createdAt: 1,
    })
    const { owner, id } = await createUserAndClient()
    await store.users.removeRole(owner.id, 'clerk')
    await store.users.addRole(owner.id, 'helper')
    const first = await signedIn(server, { username: owner.username }, id)
    await store.roles.update('helper', (one) => ({ ...one, scopes: ['orders:read'] }))
    await server.poll()
    const second = await refreshed(server, first.refresh_token, {}, id)
    t.equal(second.scope, 'orders:read')
    await store.clients.update(id, (one) => ({ ...one, scopes: ['orders:write'] }))
    await server.poll()
    t.same(outcome(await refresh(server, second.refresh_token, {}, id)), [400, 'invalid_scope'])
  },
)

t.test(
  'a disabled client gets no tokens from any grant and can neither introspect nor revoke (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const { id, pair, again } = await createUserAndClient()
    const machineClaims = (await clientCredentials(server, {}, id)).json().access_token
    await store.clients.update(id, (one) => ({ ...one, disabled: true }))
    await server.poll()
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_CLIENT)
    t.same(outcome(await again()), INVALID_CLIENT)
    t.same(outcome(await clientCredentials(server, {}, id)), INVALID_CLIENT)
    t.same(outcome(await introspect(server, pair.access_token, id)), INVALID_CLIENT)
    t.same(outcome(await revoke(server, pair.access_token, id)), INVALID_CLIENT)
    for (const token of [pair.access_token, machineClaims]) {
      t.same((await introspect(server, token, 'watch')).json(), { active: false }, 'for its resource server')
    }
    await store.clients.update(id, (one) => ({ ...one, disabled: false }))
    await server.poll()
    await refreshed(server, pair.refresh_token, {}, id)
  },
)

t.test(
  'a request racing with the deletion of its client leaves nothing behind and gets no 500 (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const { id, pair, again } = await createUserAndClient()
    await store.clients.delete(id)
    // This node has not polled the change yet.
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_GRANT)
    t.same(
      outcome(await again()),
      INVALID_GRANT,
      'the session cannot be stored, and the node reads the client again',
    )
    t.same(outcome(await again()), INVALID_CLIENT)
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), INVALID_CLIENT)
    t.same((await introspect(server, pair.access_token, 'watch')).json(), { active: false })
    t.same(await store.clientSessions.list({ clientId: id }, 10), [])

    await store.clients.insert(client({ id, grants: ['refresh_token'] }))
    t.same(
      outcome(await refresh(server, pair.refresh_token, {}, id)),
      INVALID_GRANT,
      'a new client of that name inherits nothing',
    )
  },
)

t.test(
  'a client that loses a grant can no longer use it (RFC 6749 §5.2; docs/security.md E55)',
  async (t) => {
    const { id, pair, again } = await createUserAndClient()
    await store.clients.update(id, (one) => ({ ...one, grants: ['client_credentials'] }))
    await server.poll()
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), [400, 'unauthorized_client'])
    t.same(outcome(await again()), [400, 'unauthorized_client'])
  },
)

t.test(
  'a deleted API gets no more tokens, not even from existing sessions (RFC 9700 §4.14.2; docs/security.md F71)',
  async (t) => {
    const GONE = 'https://gone.test'
    await store.apis.insert(api({ identifier: GONE, scopes: ['gone:read'] }))
    await store.roles.insert({
      name: 'ghost',
      scopes: ['gone:read'],
      requireSecondFactor: false,
      createdAt: 1,
    })
    const { owner, id } = await createUserAndClient({ scopes: ['orders:read', 'gone:read'] })
    await store.users.addRole(owner.id, 'ghost')
    const pair = await signedIn(server, { username: owner.username, resource: GONE }, id)
    t.equal(claimsOf(pair.access_token).aud, GONE)
    await store.apis.delete(GONE)
    await server.poll()
    t.same(outcome(await refresh(server, pair.refresh_token, {}, id)), [400, 'invalid_target'])
    t.same(outcome(await login(server, { username: owner.username, resource: GONE }, id)), [
      400,
      'invalid_target',
    ])
  },
)

t.test(
  'a machine client named like a user is still recognised as a machine client (RFC 9700 §4.15.1; docs/security.md E63)',
  async (t) => {
    const { owner, pair } = await createUserAndClient()
    await store.clients.insert(client({ id: owner.id }))
    const { access_token: token } = (await clientCredentials(server, {}, owner.id)).json()
    const [machineClaims, userClaims] = [claimsOf(token), claimsOf(pair.access_token)]
    t.equal(machineClaims.sub, userClaims.sub, 'the worst case')
    t.equal(machineClaims.sub, machineClaims.client_id)
    for (const claim of ['sid', 'auth_time', 'roles']) {
      t.equal(machineClaims[claim], undefined)
      t.not(userClaims[claim], undefined)
    }
    t.not(userClaims.sub, userClaims.client_id)
    // And it has no power over the user’s sessions.
    t.equal((await revoke(server, pair.refresh_token, owner.id)).statusCode, 400)
  },
)

t.test(
  'a password change during a sign-in with the old password ends that sign-in (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { owner, id } = await createUserAndClient()
    const { clientSessions } = store
    const insert = clientSessions.insert
    t.teardown(() => Object.assign(clientSessions, { insert }))
    // Between the password check and the start of the session, where a race would slip through.
    Object.assign(clientSessions, {
      insert: async (...given: Parameters<typeof insert>) => {
        await users.setPassword(owner, 'a new and better one')
        return insert(...given)
      },
    })
    const answer = await login(server, { username: owner.username, password: PASSWORD }, id)
    t.same(outcome(answer), INVALID_GRANT)
    const live = await clientSessions.list({ userId: owner.id }, 10)
    t.same(
      live.filter((session) => session.revokedAt === null),
      [],
    )
  },
)

t.test(
  'a client id is not accepted as a username by the password grant (RFC 9700 §4.15.1, RFC 9068 §5; docs/security.md E63)',
  async (t) => {
    const answer = await login(server, { username: 'machine', password: SECRET })
    t.same(outcome(answer), INVALID_GRANT)
  },
)
