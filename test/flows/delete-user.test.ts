/** A deleted user: sessions and tokens, rows in every table, and what the audit log and the files of the database still say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { deleteUser } from '../../src/accounts/delete-user.ts'
import { createOneTimeLink } from '../../src/accounts/one-time-links.ts'
import { createUsers } from '../../src/accounts/users.ts'
import { fieldsOf } from '../../src/audit/personal.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { auditKeys } from '../../src/keys/audit-keys.ts'
import type { User } from '../../src/store/contracts/users.ts'
import { openBrowser, type Served } from '../support/browser/browser.ts'
import { codeClient, redeem, seedUsers, signIn, tokensOf } from '../support/browser/sign-in.ts'
import { testVerifier } from '../support/issuers/verifier.ts'
import { tablesOf } from '../support/server/database-dump.ts'
import { ENGINE } from '../support/server/engine.ts'
import { login, refresh } from '../support/server/requests.ts'
import { PASSWORD, user } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { introspect } from '../support/server/tokens.ts'

const MASTER_KEY = Buffer.alloc(32, 7).toString('base64url')
const HOME = '203.0.113.77'
const NAMES = ['xaverine', 'Xaverine Quux', 'quux@person.test', 'quux.x', 'Quuxtop Browser']
const PROFILE = { username: 'xaverine', name: 'Xaverine Quux', email: 'quux@person.test' }

/** The server as a browser at this address sees it, behind a proxy. */
const from = (server: TestServer, ip: string): Served => ({
  clock: server.clock,
  config: server.config,
  inject: (request) => {
    const given = typeof request === 'string' ? { url: request } : request
    return server.inject({ ...given, headers: { ...given.headers, 'x-forwarded-for': ip } })
  },
})

async function start(t: Test) {
  const database = join(t.testdir({}), 'keyturn.db')
  const server = await testServer({ database, masterKey: MASTER_KEY, settings: { TRUST_PROXY: 'on' } })
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await server.store.clients.insert(
    codeClient({ id: 'told', backchannelLogoutUri: 'https://told.test/logout', firstParty: true }),
  )
  await server.poll()
  const xaverine = await user(PROFILE)
  await server.store.users.insert(xaverine)
  return { server, database, xaverine }
}

/** Leaves something of the user in every place that can have it. Returns the tokens of a session. */
async function live(server: TestServer, { id }: User) {
  const users = createUsers({ ...server.deps.base, hashing: unlimited }, 'operator:root')
  const owner = (await server.store.users.find(id)) as User
  const home = from(server, HOME)
  const { username } = owner
  await login(home, { username, password: 'a wrong password' })
  const browser = openBrowser(home, { userAgent: 'Quuxtop Browser' })
  const overrides = { scope: 'openid offline_access orders:read' }
  const { code } = await signIn(browser, overrides, { username, remember: true })
  const tokens = tokensOf(await redeem(home, code))
  const told = await signIn(
    browser,
    { client_id: 'told', redirect_uri: 'https://app.test/callback' },
    { username },
  )
  tokensOf(await redeem(home, told.code, { as: 'told', form: { redirect_uri: 'https://app.test/callback' } }))
  await signIn(browser, {}, { username })
  const { secondFactors } = server.deps.accounts
  const { secret, pending } = secondFactors.startTotpSetup(owner)
  const code6 = new TOTP({ secret, digits: 6, period: 30 }).generate({ timestamp: server.clock.now() * 1000 })
  await secondFactors.confirmTotpSetup(owner, pending, code6, { ip: HOME, requestId: 'r' })
  await secondFactors.replaceRecoveryCodes(owner, { ip: HOME, requestId: 'r' })
  await createOneTimeLink(server.deps.base, owner, 'reset', 'operator:root')
  await users.change(owner.id, { username: 'quux.x' })
  await users.change(owner.id, { givenName: 'Xaverine' })
  await server.deps.base.auditLog.flush('all')
  return tokens
}

const isFile = ENGINE === 'SQLite'

/** All that is stored, as bytes: the files of the database, or every row of every table. */
async function bytesOf({ store }: TestServer, database: string): Promise<Buffer> {
  if (isFile) {
    const folder = join(database, '..')
    return Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))))
  }
  const tables = await tablesOf(store)
  const rows = await Promise.all(tables.map((name) => store.db.query(`SELECT * FROM "${name}"`)))
  return Buffer.from(JSON.stringify(rows))
}

const found = (bytes: Buffer, texts: readonly string[]) => texts.filter((text) => bytes.includes(text))

const verdict = async ({ config, store }: TestServer) =>
  verifyLog({ rows: store.auditRows, keys: await auditKeys(config, store)(), hasRing: true })

t.test(
  'after a deletion neither name nor address is in the database, and the audit log verifies',
  async (t) => {
    const { server, database, xaverine } = await start(t as Test)
    await live(server, xaverine)
    const before = await bytesOf(server, database)
    t.same(found(before, [...NAMES, HOME]), [...NAMES, HOME], 'all of it is there before')
    const rowsBefore = (await server.store.auditRows.page(0, 1000)).length

    await deleteUser(server.deps.base, xaverine, 'operator:root')
    t.same(found(await bytesOf(server, database), [...NAMES, HOME]), [])
    if (isFile) t.ok(existsSync(database))

    for (const name of await tablesOf(server.store)) {
      const rows = await server.store.db.query(`SELECT * FROM "${name}"`)
      const mentions = rows.filter((row) => JSON.stringify(row).includes(xaverine.id))
      // The ids in the audit log stay, and clients are still told that the sessions have ended.
      if (!['audit', 'logout_outbox'].includes(name)) t.same(mentions, [], name)
    }
    t.same((await verdict(server)).findings, [])
    const rows = await server.store.auditRows.page(0, 1000)
    t.ok(rows.length > rowsBefore, 'the log has kept its rows, and has those of the deletion')
    const own = rows.filter(({ sub }) => sub === xaverine.id)
    t.ok(own.some(({ event }) => event === 'login.failed'))
    for (const row of own) t.notMatch(Object.keys(fieldsOf(row)), ['ip'])
    t.match(own.at(-1), { event: 'user.changed', actor: 'operator:root' })
    t.match(fieldsOf(own.at(-1) as never), { action: 'deleted', erased: /^[1-9]/ })
    const refused = rows.find(({ event }) => event === 'token.refused')
    t.match(refused, { sub: null, ip: null }, 'a row that names no user has lost the address too')
  },
)

t.test('values about other users stay, also where the deleted user acted', async (t) => {
  const { server, xaverine } = await start(t as Test)
  const alice = (await server.store.users.findByUsername('alice')) as User
  const { audit, auditLog } = server.deps.base
  await login(from(server, '198.51.100.5'), { username: 'alice', password: PASSWORD })
  audit('user.changed', {
    actor: `user:${xaverine.id}`,
    sub: alice.id,
    target: 'alice',
    action: 'x',
    ip: HOME,
  })
  audit('user.changed', {
    actor: `user:${alice.id}`,
    sub: xaverine.id,
    target: 'xaverine',
    action: 'y',
    ip: '198.51.100.5',
  })
  audit('client.changed', { actor: `user:${xaverine.id}`, client_id: 'web', target: 'web', ip: HOME })
  await auditLog.flush('all')
  await deleteUser(server.deps.base, xaverine, 'operator:root')
  const rows = (await server.store.auditRows.page(0, 1000)).map((row) => ({ ...row, values: fieldsOf(row) }))
  const by = (test: (row: (typeof rows)[number]) => boolean) => rows.find(test)?.values
  t.match(
    by(({ event }) => event === 'login.succeeded'),
    { ip: '198.51.100.5' },
  )
  t.strictSame(
    by(({ values }) => values.action === 'x'),
    { action: 'x', target: 'alice' },
  )
  t.strictSame(
    by(({ values }) => values.action === 'y'),
    { action: 'y', ip: '198.51.100.5' },
  )
  t.strictSame(
    by(({ event }) => event === 'client.changed'),
    { target: 'web' },
  )
  t.same((await verdict(server)).findings, [])
})

t.test('tokens of a deleted user are refused, offline within STATUS_TTL and a poll', async (t) => {
  const { server, xaverine } = await start(t as Test)
  const { access_token, refresh_token } = await live(server, xaverine)
  const offline = async () => {
    const { verifier, verdict } = testVerifier(server, { statusList: true })
    await verifier.ready()
    const found = await verdict(access_token)
    verifier.close()
    return found
  }
  t.equal(await offline(), 'ok')
  const deleted = await deleteUser(server.deps.base, xaverine, 'operator:root')
  t.ok(deleted.clientSessions.length > 1)
  await server.poll()
  server.clock.tick(server.config.statusTtl)
  t.equal(await offline(), 'revoked')
  t.equal((await refresh(server, refresh_token, {}, 'web')).statusCode, 400)
  t.same((await introspect(server, access_token, 'web')).json(), { active: false })
  const userinfo = await server.inject({
    url: '/oauth2/userinfo',
    headers: { authorization: `Bearer ${access_token}` },
  })
  t.equal(userinfo.statusCode, 401)
  t.equal((await login(server, { username: 'quux.x' })).statusCode, 400)
})

t.test('an event that another node still has in its queue is stored without name and address', async (t) => {
  const { server, database, xaverine } = await start(t as Test)
  await server.deps.base.auditLog.flush('all')
  const other = await testServer({
    database,
    clock: server.clock,
    masterKey: MASTER_KEY,
  })
  t.teardown(() => other.close())
  const sub = xaverine.id
  other.deps.base.audit('user.changed', {
    actor: 'operator:root',
    sub,
    target: 'xaverine',
    ip: HOME,
    action: 'z',
  })
  await deleteUser(server.deps.base, xaverine, 'operator:root')
  await other.deps.base.auditLog.flush('all')
  const rows = await server.store.auditRows.page(0, 1000)
  const late = rows.find((row) => fieldsOf(row).action === 'z')
  t.match(late, { sub, ip: null, target: null })
  t.same((await verdict(server)).findings, [])
})

const CHANGED_BY_HAND = 'the test changes rows by hand'

t.test('a value that was erased or changed by hand is found', async (t) => {
  const server = await testServer({ skipAuditCheck: CHANGED_BY_HAND })
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await login(server)
  await server.deps.base.auditLog.flush('all')
  const { db, auditRows } = server.store
  const row = (await auditRows.page(0, 100)).find(({ event }) => event === 'login.succeeded')
  if (!row) throw new Error('there is no row')
  const set = (column: string, value: string | null) =>
    db.batch([{ sql: `UPDATE audit SET ${column} = $2 WHERE seq = $1`, params: [row.seq, value] }])
  await set('ip', `${row.ip?.slice(0, 22)}.192.0.2.99`)
  t.same((await verdict(server)).findings, [`the ip of row ${row.seq} was changed`])
  await set('ip', null)
  t.match((await verdict(server)).findings, [
    new RegExp(
      `^values of row ${row.seq} were erased, and no event says that the user ${row.sub} was deleted`,
    ),
  ])
  await set('ip', row.ip)
  await login(server, { username: 'unknown' })
  await server.deps.base.auditLog.flush('all')
  await db.batch([{ sql: `UPDATE audit SET ip = NULL WHERE sub IS NULL AND event = 'login.failed'` }])
  t.match((await verdict(server)).findings, [/^addresses were erased.* no event accounts for 1 of them/])
  await db.batch([{ sql: `UPDATE audit SET event = 'x' WHERE sub IS NULL AND event = 'login.failed'` }])
  t.match((await verdict(server)).findings, [/was changed/], 'a changed row is reported once')
  await db.batch([{ sql: `UPDATE audit SET event = 'login.failed' WHERE event = 'x'` }])
  const gone = (await server.store.users.findByUsername('bob')) as User
  await deleteUser(server.deps.base, gone, 'operator:root')
  t.match(
    (await verdict(server)).findings,
    [/no event accounts for 1 of them/],
    'a deletion explains only its own',
  )
  await set('target', 'salt.someone')
  t.match((await verdict(server)).findings, [`the target of row ${row.seq} was changed`, String])
})

t.test('deleting a user again, and at the same time, is harmless', async (t) => {
  const { server, xaverine } = await start(t as Test)
  await live(server, xaverine)
  await Promise.all([1, 2, 3].map((i) => deleteUser(server.deps.base, xaverine, `operator:${i}`)))
  await deleteUser(server.deps.base, xaverine, 'operator:root')
  t.equal(await server.store.users.find(xaverine.id), null)
  t.same((await verdict(server)).findings, [])
  const again = await user({ ...PROFILE })
  t.equal(await server.store.users.insert(again), true, 'the name is free again')
})
