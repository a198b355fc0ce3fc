/** Users and sessions in the administration API: resources, conditions, secrets that are shown once, and who may change whom. */
import t, { type Test } from 'tap'
import { ADMIN_ROLE, adminAudience } from '../../src/admin/built-ins.ts'
import type { User } from '../../src/store/contracts/users.ts'
import { openBrowser } from '../support/browser/browser.ts'
import { type Administrator, administrator } from '../support/server/administrator.ts'
import { login, refresh } from '../support/server/requests.ts'
import { PASSWORD, seed, user } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const NEW_PASSWORD = 'a few words in a row'

async function administered(t: Test) {
  const server = await testServer()
  t.teardown(() => server.close())
  const { alice } = await seed(server.store)
  return { server, alice, ...(await administrator(server)) }
}

const problem = (name: string) => ({ type: `urn:keyturn:problem:${name}` })
const notesOf = (response: { headers: Record<string, unknown> }) =>
  decodeURIComponent(String(response.headers['keyturn-notes'] ?? ''))

t.test('a user is created, read, changed, listed and deleted, with a revision each time', async (t) => {
  const { send, server } = await administered(t as Test)
  const body = {
    username: ' Ivy ',
    email: 'ivy@test',
    given_name: 'Ivy',
    roles: ['clerk'],
    password: PASSWORD,
  }
  const created = await send('POST', '/users', body)
  t.equal(created.statusCode, 201)
  t.equal(created.headers.location, `${adminAudience(ISSUER)}/users/ivy`)
  t.strictSame(Object.keys(created.json()), [
    'id',
    'username',
    'name',
    'given_name',
    'family_name',
    'locale',
    'zoneinfo',
    'roles',
    'email',
    'email_verified',
    'disabled',
    'created_at',
  ])
  t.match(created.json(), { username: 'ivy', email: 'ivy@test', roles: ['clerk'], disabled: false })
  t.equal((await login(server, { username: 'ivy' })).statusCode, 200)
  const read = await send('GET', '/users/IVY')
  t.same(read.json(), { ...created.json(), browsers: 0 })
  t.equal(read.headers.etag, created.headers.etag)
  const changed = await send('PATCH', '/users/ivy', { email: null, given_name: null, roles: [] })
  t.match(changed.json(), { email: null, given_name: null, roles: [] })
  t.not(changed.headers.etag, read.headers.etag)
  const renamed = await send('PATCH', '/users/ivy', { username: 'iva', locale: 'de-ch' })
  t.match(renamed.json(), { id: created.json().id, username: 'iva', locale: 'de-CH' })
  t.equal((await send('GET', '/users/ivy')).statusCode, 404)
  t.strictSame((await send('DELETE', '/users/iva')).json(), { deleted: 'iva' })
  t.equal((await send('GET', '/users/iva')).statusCode, 404)
  const events = server.logger.audits('user.changed').map(({ actor, action }) => [actor, action])
  t.strictSame(events, [
    ['client:robot', 'created'],
    ['client:robot', 'profile changed'],
    ['client:robot', 'role clerk removed'],
    ['client:robot', 'renamed'],
    ['client:robot', 'profile changed'],
    ['client:robot', 'deleted'],
  ])
})

t.test('users are listed part by part, searched and filtered, oldest first', async (t) => {
  const { send, server } = await administered(t as Test)
  for (let i = 0; i < 25; i += 1)
    await server.store.users.insert(
      await user({
        id: `u_${i}`,
        username: `user ${i}`,
        email: i === 7 ? 'Lucky@Test' : null,
        roles: i % 2 ? ['clerk'] : [],
        disabled: i === 3,
        createdAt: 100 + (i >> 1),
      }),
    )
  const names: string[] = []
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = (await send('GET', `/users?limit=10${query}`)).json()
    names.push(...page.items.map((one: { username: string }) => one.username))
    cursor = page.next_cursor
  } while (cursor !== null)
  t.equal(names.length, 26)
  t.same(
    names,
    (await server.store.users.page(null, 1000)).map(({ username }) => username),
  )
  const found = async (query: string) =>
    (await send('GET', `/users?${query}`)).json().items.map((one: { username: string }) => one.username)
  t.same(await found('search=lucky'), ['user 7'])
  t.same(await found('search=USER%2024'), ['user 24'])
  t.same(await found('disabled=true'), ['user 3'])
  t.equal((await found('role=clerk&disabled=false')).length, 12)
  t.same(await found('role=nothing'), [])
  t.match((await send('GET', '/users?limit=2&search=user%201')).json().items.length, 2)
  for (const query of ['cursor=x', 'cursor=eA', 'limit=0', 'limit=x', 'colour=red', 'disabled=perhaps'])
    t.equal((await send('GET', `/users?${query}`)).statusCode, 400, query)
})

t.test('of two administrators who change the same revision of a user, the second gets 412', async (t) => {
  const { send, server, alice } = await administered(t as Test)
  const seen = { 'if-match': String((await send('GET', '/users/alice')).headers.etag) }
  t.equal((await send('PATCH', '/users/alice', { name: 'Alice' }, seen)).statusCode, 200)
  for (const [method, path, payload] of [
    ['PATCH', '', { name: 'Other' }],
    ['DELETE', '', undefined],
    ['POST', '/disable', undefined],
    ['POST', '/enable', undefined],
    ['POST', '/password', { password: NEW_PASSWORD }],
    ['POST', '/reset-second-factor', undefined],
  ] as const) {
    const late = await send(method, `/users/alice${path}`, payload, seen)
    t.equal(late.statusCode, 412, `${method} ${path}`)
    t.match(late.json(), problem('precondition-failed'))
  }
  t.match(await server.store.users.find(alice.id), { name: 'Alice', disabled: false })
  t.equal((await login(server)).statusCode, 200)
})

t.test(
  'what an administrator has seen of a user does not fit another user who gets the username (RFC 9110 §13.1.1; docs/security.md R1)',
  async (t) => {
    const { send, server, alice } = await administered(t as Test)
    const etagOf = async () => ({ 'if-match': String((await send('GET', '/users/alice')).headers.etag) })
    const create = () => send('POST', '/users', { username: 'alice', password: PASSWORD })
    const first = await etagOf()
    t.equal((await send('PATCH', '/users/alice', { username: 'alicia' })).statusCode, 200)
    t.equal((await create()).statusCode, 201)
    const second = await etagOf()
    t.equal((await send('DELETE', '/users/alice', undefined, first)).statusCode, 412)
    t.equal((await send('DELETE', '/users/alice', undefined, second)).statusCode, 200)
    t.equal((await create()).statusCode, 201)
    for (const seen of [first, second])
      t.equal((await send('POST', '/users/alice/disable', {}, seen)).statusCode, 412)
    t.match(await server.store.users.findByUsername('alice'), { disabled: false })
    t.match(await server.store.users.find(alice.id), { username: 'alicia' })
  },
)

t.test('a value that is not valid is named, and nothing changes', async (t) => {
  const { send, server } = await administered(t as Test)
  const ivy = { username: 'ivy', password: PASSWORD }
  const bad: readonly [object, string][] = [
    [{ ...ivy, username: '' }, 'username'],
    [{ ...ivy, username: 7 }, 'username'],
    [{ password: PASSWORD }, 'username'],
    [{ ...ivy, email: 'nowhere' }, 'email'],
    [{ ...ivy, email_verified: true }, 'email_verified'],
    [{ ...ivy, family_name: '\u200b' }, 'family_name'],
    [{ ...ivy, locale: 'german' }, 'locale'],
    [{ ...ivy, zoneinfo: 'x y' }, 'zoneinfo'],
    [{ ...ivy, password: 'short' }, 'password'],
    [{ ...ivy, password: 'password' }, 'password'],
    [{ ...ivy, colour: 'red' }, 'colour'],
  ]
  for (const [body, field] of bad) {
    for (const path of ['/users', '/checks/user']) {
      const response = await send('POST', path, body)
      t.equal(response.statusCode, 400, `${path} ${field}`)
      t.match(response.json(), { ...problem('invalid-value'), errors: [{ field }] })
    }
  }
  t.match((await send('POST', '/users', { ...ivy, username: 'ALICE' })).json(), problem('conflict'))
  t.match((await send('POST', '/users', { ...ivy, roles: ['ghost'] })).json(), problem('conflict'))
  t.strictSame((await send('POST', '/checks/user', { ...ivy, username: ' IVY' })).json(), { username: 'ivy' })
  t.equal(await server.store.users.findByUsername('ivy'), null)
  t.match((await send('PATCH', '/users/alice', { username: 'x'.repeat(500) })).json(), {
    ...problem('invalid-value'),
    errors: [{ field: 'username' }],
  })
  t.match(
    (await send('POST', '/users/alice/password', { password: 'alice-123' })).json(),
    problem('invalid-value'),
  )
  t.match((await send('POST', '/checks/password', { username: 'alice', password: 'short' })).json(), {
    errors: [{ field: 'password' }],
  })
  t.equal((await login(server)).statusCode, 200)
})

t.test('a disabled user and a new password end all sessions; the notes say how many', async (t) => {
  const { send, server } = await administered(t as Test)
  const { refresh_token } = (await login(server)).json()
  const set = await send('POST', '/users/alice/password', { password: NEW_PASSWORD })
  t.match(notesOf(set), '1 session ended')
  t.notMatch(set.body, NEW_PASSWORD)
  t.equal((await refresh(server, refresh_token)).statusCode, 400)
  t.equal((await login(server, { password: NEW_PASSWORD })).statusCode, 200)
  const disabled = await send('POST', '/users/alice/disable')
  t.match(disabled.json(), { disabled: true })
  t.match(notesOf(disabled), '1 session ended')
  t.match((await send('POST', '/users/alice/disable')).json(), { disabled: true }, 'once more')
  t.match((await send('POST', '/users/alice/enable')).json(), { disabled: false })
  const actions = server.logger.audits('user.changed').map(({ action }) => action)
  t.same(actions, ['password set', 'disabled', 'enabled'], 'what changes nothing is no event')
})

t.test('a link is in the answer of one request, and not of its repetition', async (t) => {
  const { send, server } = await administered(t as Test)
  const key = { 'idempotency-key': 'once' }
  const invited = await send('POST', '/users/ivy/invite', { email: 'ivy@test', roles: ['clerk'] }, key)
  t.equal(invited.statusCode, 200)
  const { link, ...rest } = invited.json()
  t.strictSame(rest, { username: 'ivy', expires_at: server.clock.now() + 3600 })
  t.strictSame(
    (await send('POST', '/users/ivy/invite', { email: 'ivy@test', roles: ['clerk'] }, key)).json(),
    rest,
  )
  t.equal((await openBrowser(server).open(link)).status, 200, 'the repetition has made no other link')
  t.match((await send('POST', '/users/ivy/invite', { name: 'Ivy' })).json(), problem('conflict'))
  t.match((await send('POST', '/users/ivy/reset-link')).json(), problem('conflict'))
  const reset = (await send('POST', '/users/alice/reset-link')).json()
  t.match(reset.link, `${ISSUER}/account/reset?secret=`)
  t.equal((await send('POST', '/users/nobody/reset-link')).statusCode, 404)
  await server.deps.base.auditLog.flush('all')
  const stored = JSON.stringify([
    await server.store.db.query('SELECT * FROM idempotent_requests'),
    await server.store.db.query('SELECT * FROM audit'),
    server.logger.lines,
  ])
  for (const text of [link, reset.link])
    t.notOk(stored.includes(new URL(text).searchParams.get('secret') ?? ''))
})

t.test('second factors are removed, and the note says if nothing is left to sign in with', async (t) => {
  const { send, server, alice } = await administered(t as Test)
  await server.store.factors.replaceRecoveryCodes(alice.id, ['hash'], 1)
  const removed = { totp: false, passkeys: 0, recovery_codes: 1 }
  t.strictSame((await send('POST', '/users/alice/reset-second-factor')).json(), {
    id: alice.id,
    username: 'alice',
    removed,
  })
  t.match((await send('POST', '/users/alice/reset-second-factor')).json(), { removed: { recovery_codes: 0 } })
})

/** A user with the role of administrators. */
async function admin(server: TestServer, username: string): Promise<User> {
  const one = await user({ username, roles: [ADMIN_ROLE] })
  await server.store.users.insert(one)
  return one
}

t.test('the last administrator is disabled, deleted or demoted only with force', async (t) => {
  const { send, server } = await administered(t as Test)
  await admin(server, 'chief')
  const acts = [
    ['POST', '/users/chief/disable', undefined],
    ['PATCH', '/users/chief', { roles: [] }],
    ['DELETE', '/users/chief', undefined],
  ] as const
  for (const [method, path, payload] of acts) {
    const refused = await send(method, path, payload)
    t.equal(refused.statusCode, 409, path)
    t.match(refused.json(), { ...problem('force-needed'), detail: /last user with the role keyturn-admin/ })
  }
  t.match(await server.store.users.findByUsername('chief'), { disabled: false, roles: [ADMIN_ROLE] })
  t.equal((await send('PATCH', '/users/chief', { name: 'Chief', roles: [ADMIN_ROLE] })).statusCode, 200)
  // A disabled administrator does not count.
  const second = await admin(server, 'second')
  await server.store.users.setDisabled(second.id, true)
  t.equal((await send('POST', '/users/chief/disable')).statusCode, 409)
  await server.store.users.setDisabled(second.id, false)
  t.equal((await send('POST', '/users/chief/disable')).statusCode, 200)
  t.equal((await send('DELETE', '/users/chief')).statusCode, 200, 'it is no longer one who could administer')
  for (const [method, , payload] of acts) {
    const path = method === 'POST' ? '/users/second/disable' : '/users/second'
    t.equal((await send(method, `${path}?force=true`, payload)).statusCode, 200)
  }
})

t.test('of two administrators who lock each other out at once, one is left', async (t) => {
  const { send, server } = await administered(t as Test)
  for (const [path, payload] of [
    ['', { roles: [] }],
    ['/disable', undefined],
    ['delete', undefined],
  ] as const) {
    await admin(server, 'chief')
    await admin(server, 'second')
    const answers = await Promise.all(
      ['chief', 'second'].map((name) =>
        path === 'delete'
          ? send('DELETE', `/users/${name}`)
          : send(payload ? 'PATCH' : 'POST', `/users/${name}${path}`, payload),
      ),
    )
    t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 409], path)
    t.equal((await server.store.users.idsWithRole(ADMIN_ROLE)).length, 1)
    for (const name of ['chief', 'second']) await send('DELETE', `/users/${name}?force=true`)
  }
})

t.test('administrators need force for themselves, even if there are others', async (t) => {
  const { server } = await administered(t as Test)
  const chief = await admin(server, 'chief')
  await admin(server, 'second')
  const open = await server.deps.openAdmin()
  const { users } = open({ name: `user:${chief.id}`, scopes: new Set(['admin:users', 'admin:read']) })
  const own = open({ name: `user:${chief.id}`, scopes: null }).users
  for (const act of [
    () => own.disable('chief'),
    () => own.delete('chief'),
    () => own.update('chief', { roles: [] }),
  ] as (() => Promise<unknown>)[])
    await t.rejects(act(), {
      code: 'administration_refused',
      message: 'chief is the user that you are signed in as',
    })
  t.match(await own.disable('second'), { value: { disabled: true } })
  // With fewer scopes than the role gives, nobody touches an administrator.
  await t.rejects(users.update('second', { name: 'x' }), { message: /which you do not have yourself/ })
})

t.test(
  'no administrator gains rights through the account of another, and the attempts are audited (docs/security.md R13)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    await seed(server.store)
    await admin(server, 'chief')
    const { send }: Administrator = await administrator(server, 'helpdesk', ['admin:read', 'admin:users'])
    const acts = [
      ['POST', '/users', { username: 'ivy', roles: [ADMIN_ROLE] }],
      ['POST', '/checks/user', { username: 'ivy', roles: [ADMIN_ROLE] }],
      ['POST', '/users/ivy/invite', { roles: [ADMIN_ROLE] }],
      ['PATCH', '/users/alice', { roles: [ADMIN_ROLE] }],
      ['PATCH', '/users/chief', { username: 'feihc' }],
      ['POST', '/users/chief/password', { password: NEW_PASSWORD }],
      ['POST', '/users/chief/reset-link', undefined],
      ['POST', '/users/chief/reset-second-factor', undefined],
      ['POST', '/users/chief/disable?force=true', undefined],
      ['DELETE', '/users/chief?force=true', undefined],
    ] as const
    const before = await server.store.users.page(null, 1000)
    for (const [method, path, payload] of acts) {
      const refused = await send(method, path, payload)
      t.equal(refused.statusCode, 403, `${method} ${path}`)
      t.match(refused.json(), problem('not-allowed'))
    }
    t.same(await server.store.users.page(null, 1000), before)
    const refusal = {
      actor: 'client:helpdesk',
      client_id: 'helpdesk',
      reason: 'access_denied',
      detail: 'right_missing',
    }
    t.match(
      server.logger.audits('administration.refused'),
      acts.map(() => refusal),
    )
    t.equal((await send('PATCH', '/users/alice', { roles: [] })).statusCode, 200)
  },
)

t.test(
  'docs/security.md R9: an administrator cannot keep a link until its user is an administrator',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    await seed(server.store)
    const { send }: Administrator = await administrator(server, 'helpdesk', ['admin:read', 'admin:users'])
    const chief = await administrator(server, 'chief')
    const { link } = (await send('POST', '/users/alice/reset-link')).json<{ link: string }>()
    const open = async () => (await server.inject({ url: link.slice(ISSUER.length) })).statusCode
    t.equal(await open(), 200)
    t.equal((await chief.send('PATCH', '/users/alice', { roles: [ADMIN_ROLE] })).statusCode, 200)
    t.equal(await open(), 400)

    // Or make one at the moment at which its user becomes an administrator.
    await chief.send('PATCH', '/users/alice?force=true', { roles: [] })
    const { store } = server
    const { replace } = store.oneTimeLinks
    store.oneTimeLinks.replace = async (made) => {
      await store.users.update(made.userId, (alice) => ({ ...alice, roles: [ADMIN_ROLE] }))
      return replace(made)
    }
    const refused = await send('POST', '/users/alice/reset-link')
    t.equal(refused.statusCode, 403)
    t.notMatch(refused.body, 'secret=')
  },
)

t.test('sessions are listed part by part, and ended one by one, by user and by client', async (t) => {
  const { send, server, alice } = await administered(t as Test)
  for (let i = 0; i < 5; i += 1) {
    server.clock.tick(1)
    await login(server, {}, i % 2 ? 'phone' : 'app')
  }
  const all = (await send('GET', '/sessions')).json()
  t.equal(all.items.length, 5)
  t.strictSame(Object.keys(all.items[0]), [
    'id',
    'state',
    'user_id',
    'username',
    'client_id',
    'scope',
    'audience',
    'created_at',
    'last_used_at',
    'expires_at',
    'revoked_at',
    'revoked_for',
  ])
  const ids: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: { items: { id: string }[]; next_cursor: string | null } = (
      await send('GET', `/sessions?limit=2${cursor && `&cursor=${cursor}`}`)
    ).json()
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.next_cursor
  }
  t.same(
    ids,
    all.items.map(({ id }: { id: string }) => id),
  )
  t.equal((await send('GET', '/sessions?client=phone')).json().items.length, 2)
  t.equal((await send('GET', `/sessions?user=ALICE&id=${ids[0]}`)).json().items.length, 1)
  for (const query of ['user=nobody', 'client=nothing', 'id=x'])
    t.equal((await send('GET', `/sessions?${query}`)).statusCode, 404, query)
  t.equal((await send('GET', '/sessions?cursor=x')).statusCode, 400)

  t.strictSame((await send('DELETE', `/sessions/${ids[0]}`)).json(), { revoked: [ids[0]] })
  t.strictSame((await send('DELETE', `/sessions/${ids[0]}`)).json(), { revoked: [] }, 'it has ended before')
  t.equal((await send('DELETE', '/sessions/x')).statusCode, 404)
  for (const query of ['', '?user=alice&client=app'])
    t.match((await send('DELETE', `/sessions${query}`)).json(), problem('invalid-value'))
  t.equal((await send('DELETE', '/sessions?client=phone')).json().revoked.length, 2)
  t.equal((await send('DELETE', '/sessions?user=alice')).json().revoked.length, 2)
  const events = server.logger.audits('client_session.revoked')
  t.equal(events.length, 5)
  t.ok(events.every(({ actor }) => actor === 'client:robot'))
  t.match(events[0], { sub: alice.id, client_id: 'app' })
})
