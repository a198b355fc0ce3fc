import argon2 from 'argon2'
import type { LightMyRequestResponse } from 'fastify'
import { Secret, TOTP } from 'otpauth'
import t from 'tap'
import { ARGON2_PARAMETERS, hashPassword } from '../../src/accounts/password.ts'
import { watchArgon2 } from '../support/server/argon2-count.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { claimsOf, login, post } from '../support/server/requests.ts'
import { client, ORDERS, PASSWORD, seed, user } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { isActive, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
const { store, logger } = server
const { alice } = await seed(store)
await store.users.insert(await user({ username: 'gone', disabled: true }))
const work = watchArgon2(t)
// The hash used for unknown users is created at the first sign-in.
await signedIn(server)

/** As in the text of a hash. */
const USUAL_COST = `argon2id$v=19$m=${ARGON2_PARAMETERS.memoryCost},p=1,t=${ARGON2_PARAMETERS.timeCost}`

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const sessions = async () => (await store.clientSessions.list({}, 1000)).length

/** Without what differs between any two responses. */
const stripped = ({ statusCode, body, headers }: LightMyRequestResponse) => {
  const { date, ...rest } = headers
  return { statusCode, body, headers: rest }
}

t.test(
  'a token from the password grant names the user, the client and the session (RFC 6749 §4.3, RFC 9068 §2.2)',
  async (t) => {
    const { access_token: token, scope } = await signedIn(server)
    t.match(claimsOf(token), {
      sub: alice.id,
      client_id: 'app',
      aud: ORDERS,
      scope: 'orders:read orders:write',
      roles: ['clerk'],
      auth_time: server.clock.now(),
      sid: /^.{27}$/,
    })
    t.equal(scope, 'orders:read orders:write')
  },
)

t.test(
  'clients not registered for the password grant are refused before the password is checked (RFC 9700 §2.4; docs/security.md E56)',
  async (t) => {
    work.clear()
    t.same(outcome(await login(server, {}, 'machine')), [400, 'unauthorized_client'])
    t.same(outcome(await login(server, { password: 'wrong' }, 'machine')), [400, 'unauthorized_client'])
    t.same(work.verified, [])
  },
)

t.test(
  'an unknown user, a wrong password and a disabled user get the same response after the same work',
  async (t) => {
    const attempts = {
      'a wrong password': { password: 'wrong' },
      'no such user': { username: 'nobody' },
      'no such user, wrong password': { username: 'nobody', password: 'wrong' },
      'a disabled account, right password': { username: 'gone' },
      'a disabled account, wrong password': { username: 'gone', password: 'wrong' },
      'a name that no user can have': { username: 'a\u200bb' },
      'a password longer than any': { password: 'x'.repeat(1025) },
    }
    const before = await sessions()
    const answers = []
    for (const [label, form] of Object.entries(attempts)) {
      work.clear()
      const answer = await login(server, form)
      answers.push(stripped(answer))
      t.same(work.verified, [USUAL_COST], `${label}: one verification of the usual cost`)
      t.equal(work.hashed, 0, label)
    }
    for (const answer of answers) t.same(answer, answers[0])
    t.match(answers[0], { statusCode: 400, body: '{"error":"invalid_grant"' })
    t.equal(await sessions(), before)
  },
)

t.test(
  'the outdated hash of a disabled user is not renewed, which would reveal that the password was right',
  async (t) => {
    const passwordHash = await argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })
    await store.users.insert(await user({ username: 'goneold', passwordHash, disabled: true }))
    work.clear()
    t.same(outcome(await login(server, { username: 'goneold' })), [400, 'invalid_grant'])
    t.equal(work.hashed, 0)
  },
)

t.test('every spelling of a username refers to the same account (CVE-2025-24806)', async (t) => {
  for (const username of [
    'Alice',
    'ALICE',
    ' alice ',
    'ａｌｉｃｅ',
    'Ａlice\t',
    'al\u0131ce'.replace('ı', 'i'),
  ]) {
    const answer = await login(server, { username })
    t.equal(answer.statusCode, 200, username)
    t.equal(claimsOf(answer.json().access_token).sub, alice.id)
  }
  for (const username of ['al ice', 'alice\u200b', 'al\u00adice', 'alicе', 'alice\ufe0f', 'alıce']) {
    t.same(outcome(await login(server, { username })), [400, 'invalid_grant'], JSON.stringify(username))
  }
})

t.test('passwords are compared exactly, after Unicode normalization (RFC 8265 §4.2)', async (t) => {
  const password = 'Zwölf+Boxkämpfer %41 & =?"\\ 日本 \u{1f511}'
  await store.users.insert(await user({ username: 'otto', passwordHash: await hashPassword(password) }))
  const tryPassword = (typed: string) => login(server, { username: 'otto', password: typed })
  t.equal((await tryPassword(password)).statusCode, 200)
  t.equal((await tryPassword(password.normalize('NFD'))).statusCode, 200, 'as another keyboard writes it')
  for (const space of ['\u00a0', '\u3000'])
    t.equal((await tryPassword(password.replaceAll(' ', space))).statusCode, 200, 'with another space bar')
  for (const wrong of [password.toLowerCase(), ` ${password}`, `${password} `, password.slice(0, -1)]) {
    t.same(outcome(await tryPassword(wrong)), [400, 'invalid_grant'])
  }
})

t.test(
  'a missing username or password is invalid_request and does not count as a guess (RFC 6749 §4.3.2; docs/security.md A4)',
  async (t) => {
    work.clear()
    for (const form of [{ username: '' }, { password: '' }, { username: '', password: '' }]) {
      t.same(outcome(await login(server, form)), [400, 'invalid_request'])
    }
    t.same(work.verified, [])
  },
)

t.test(
  'a request that cannot be granted creates no session, even with the right password (RFC 6749 §5.2; docs/security.md E55)',
  async (t) => {
    const before = await sessions()
    for (const [form, error] of [
      [{ scope: 'unheard' }, 'invalid_scope'],
      [{ scope: '"' }, 'invalid_scope'],
      [{ resource: 'https://unheard.test' }, 'invalid_target'],
      [{ resource: 'relative' }, 'invalid_target'],
    ] as const) {
      t.same(outcome(await login(server, form)), [400, error])
    }
    t.equal(await sessions(), before)
  },
)

t.test('the user’s roles limit the scopes of the client', async (t) => {
  await store.roles.insert({
    name: 'reader',
    scopes: ['orders:read', 'stock:read'],
    requireSecondFactor: false,
    createdAt: 1,
  })
  await store.users.insert(await user({ username: 'rita', roles: ['reader'] }))
  await store.users.insert(await user({ username: 'noone', roles: [] }))
  await server.poll()
  t.equal(
    (await signedIn(server, { username: 'rita' })).scope,
    'orders:read',
    'not stock: the client may not',
  )
  t.same(outcome(await login(server, { username: 'noone', scope: 'orders:read' })), [400, 'invalid_scope'])
  t.equal(
    (await signedIn(server, { username: 'noone' })).scope,
    undefined,
    'requested nothing, granted nothing',
  )
})

t.test('a password is hashed with argon2id, 19 MiB and two passes (RFC 9106)', async (t) => {
  hashAtRealCost(t)
  const hash = await hashPassword(PASSWORD)
  t.match(hash, '$argon2id$v=19$m=19456,p=1,t=2$')
  t.equal(await argon2.verify(hash, PASSWORD), true)
})

t.test('a hash with outdated parameters is renewed once at sign-in', async (t) => {
  const weak = await argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })
  const vera = await user({ username: 'vera', passwordHash: weak })
  await store.users.insert(vera)
  work.clear()
  const { access_token: token } = await signedIn(server, { username: 'vera' })
  t.equal(work.hashed, 1)
  const renewed = (await store.users.find(vera.id))?.passwordHash ?? ''
  t.match(renewed, `$${USUAL_COST}$`)
  t.ok(await isActive(server, token))

  work.clear()
  await signedIn(server, { username: 'vera' })
  t.equal(work.hashed, 0, 'not again')
  t.equal((await store.users.find(vera.id))?.passwordHash, renewed)
  t.same(outcome(await login(server, { username: 'vera', password: 'wrong' })), [400, 'invalid_grant'])
})

t.test('concurrent first sign-ins that renew the hash all succeed', async (t) => {
  const wide = await testServer({ hashingLimits: { running: 4, waiting: 16 } })
  t.teardown(() => wide.close())
  await seed(wide.store)
  const weak = await argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })
  await wide.store.users.insert(await user({ username: 'vera', passwordHash: weak }))
  const pairs = await Promise.all([1, 2, 3, 4].map(() => signedIn(wide, { username: 'vera' })))
  for (const { access_token: token } of pairs) t.ok(await isActive(wide, token))
})

t.test('a password set while the old hash is renewed is kept, and the sign-in fails', async (t) => {
  const weak = await argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })
  const vera = await user({ username: 'verena', passwordHash: weak })
  await store.users.insert(vera)
  const newHash = await argon2.hash('a new and better one')
  const { setPasswordHash } = store.users
  t.teardown(() => Object.assign(store.users, { setPasswordHash }))
  Object.assign(store.users, {
    setPasswordHash: async (...args: Parameters<typeof setPasswordHash>) => {
      await setPasswordHash(vera.id, newHash)
      return setPasswordHash(...args)
    },
  })
  t.same(outcome(await login(server, { username: 'verena' })), [400, 'invalid_grant'])
  t.equal((await store.users.find(vera.id))?.passwordHash, newHash)
  t.same(await store.clientSessions.list({ userId: vera.id }, 10), [])
})

t.test(
  'each sign-in is audited with user, client and address, but not the password (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    logger.lines.length = 0
    await signedIn(server)
    await login(server, { password: 'let me in please' })
    await login(server, { username: 'mallory@home' })
    const from = { client_id: 'app', ip: '127.0.0.1', request_id: /./ }
    t.match(logger.audits('login.succeeded'), [{ ...from, actor: `user:${alice.id}`, sub: alice.id }])
    t.match(logger.audits('login.failed'), [
      { ...from, sub: alice.id },
      { ...from, sub: undefined },
    ])
    const logText = JSON.stringify(logger.lines)
    for (const secret of [PASSWORD, 'let me in please', 'mallory']) t.notMatch(logText, secret)
  },
)

t.test('a public client may be registered for the password grant and gets its own sessions', async (t) => {
  const { access_token: token } = await signedIn(server, {}, 'phone')
  t.equal(claimsOf(token).client_id, 'phone')
  await store.clients.insert(client({ id: 'kiosk', authMethod: 'none', grants: ['refresh_token'] }))
  const form = { grant_type: 'password', client_id: 'kiosk', username: 'alice', password: PASSWORD }
  t.same(outcome(await post(server, '/oauth2/token', form)), [400, 'unauthorized_client'])
})

t.test('if the client or a role requires a second factor, the password alone is refused', async (t) => {
  const strict = { name: 'strict', scopes: ['orders:read'], requireSecondFactor: true, createdAt: 1 }
  await store.roles.insert(strict)
  await store.roles.insert({ ...strict, name: 'lax', requireSecondFactor: false })
  await store.users.insert(await user({ username: 'tess', roles: ['lax', 'strict'] }))
  await store.users.insert(await user({ username: 'toni', roles: ['lax'] }))
  await store.clients.insert(client({ id: 'bank', grants: ['password'], requireSecondFactor: true }))
  await server.poll()
  const before = await sessions()

  const needed = /^a second factor is required/
  for (const [username, at] of [
    ['tess', 'app'],
    ['toni', 'bank'],
  ] as const) {
    const answer = await login(server, { username }, at)
    t.same(outcome(answer), [400, 'invalid_grant'], `${username} at ${at}`)
    t.match(answer.json().error_description, needed)
    const guess = await login(server, { username, password: 'wrong' }, at)
    t.notMatch(guess.json().error_description, needed, 'only a user with the right password learns of it')
  }
  t.equal(await sessions(), before, 'no session was created')
  await signedIn(server, { username: 'toni' })

  await store.roles.update(strict.name, () => ({ ...strict, requireSecondFactor: false }))
  await server.poll()
  await signedIn(server, { username: 'tess' })
})

t.test('if the user has a second factor, the password alone is refused', async (t) => {
  const fay = await user({ username: 'fay' })
  await store.users.insert(fay)
  await signedIn(server, { username: 'fay' })
  const { clock, deps } = server
  const { secondFactors } = deps.accounts
  const from = { ip: '192.0.2.1', requestId: 'r' }
  const { secret, pending } = secondFactors.startTotpSetup(fay)
  const code = TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now() * 1000 })
  t.equal(await secondFactors.confirmTotpSetup(fay, pending, code, from), 'confirmed')
  const before = await sessions()
  t.same(outcome(await login(server, { username: 'fay' })), [400, 'invalid_grant'])
  t.equal(await sessions(), before, 'no session was created')
  await secondFactors.removeTotp(fay, from)
  await signedIn(server, { username: 'fay' })
})
