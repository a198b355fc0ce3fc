/** A new master key while two nodes serve: what users and clients hold stays valid, and the old master key decrypts nothing. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { createReencryptFactors } from '../../src/accounts/reencrypt-factors.ts'
import { CURRENT_AFTER, decryptDataKey } from '../../src/keys/data-keys.ts'
import { openKeys } from '../../src/keys/index.ts'
import { oldDataKeys, rotateMasterKey } from '../../src/keys/rotate-master-key.ts'
import { openBase } from '../../src/node/base.ts'
import { openBrowser } from '../support/browser/browser.ts'
import { authorizeUrl, completePages, redeem, seedUsers } from '../support/browser/sign-in.ts'
import { testVerifier } from '../support/issuers/verifier.ts'
import { testClock } from '../support/server/clock.ts'
import { CONTEXT } from '../support/server/factors.ts'
import { masterKeysOf } from '../support/server/keys.ts'
import { testLogger } from '../support/server/log.ts'
import { clientCredentials, refresh } from '../support/server/requests.ts'
import { client } from '../support/server/seed.ts'
import {
  ISSUER,
  type TestServer,
  type TestServerOptions,
  testConfig,
  testServer,
} from '../support/server/server.ts'
import { isActive, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

const DAY = 86_400
const key = () => randomBytes(32).toString('base64url')

interface World {
  readonly nodes: readonly [TestServer, TestServer]
  readonly old: string
  readonly next: string
  readonly options: TestServerOptions & { readonly database: string }
  start(masterKey: string, next?: string): Promise<TestServer>
  /** Both nodes poll the changes. */
  poll(): Promise<void>
  change(compromised?: boolean): Promise<void>
}

async function world(t: Test): Promise<World> {
  const clock = testClock()
  const [old, next] = [key(), key()]
  const options = { database: join(t.testdir(), 'keyturn.db'), clock }
  const start = async (masterKey: string, next?: string) => {
    const settings: Record<string, string> = next === undefined ? {} : { MASTER_KEY_NEXT: next }
    const server = await testServer({ ...options, masterKey, settings })
    t.teardown(() => server.close())
    return server
  }
  const nodes = [await start(old, next), await start(old, next)] as const
  await seedUsers(nodes[0].store)
  for (const { deps } of nodes) await deps.registry.sync()
  return {
    nodes,
    old,
    next,
    options,
    start,
    async poll() {
      for (const node of nodes) await node.poll()
    },
    async change(compromised = false) {
      const [{ deps }] = nodes
      const { base, keys } = deps
      const to = keys.masterKeys.list()[1]
      if (!to) throw new Error('there is no next key')
      await rotateMasterKey({ ...base, masterKeys: keys.masterKeys }, to, { actor: 'me', compromised })
      await keys.dataKeys.sync()
      await createReencryptFactors({ ...base.store, dataKeys: keys.dataKeys, random: base.random })()
    },
  }
}

const secondFactors = ({ deps }: TestServer) => deps.accounts.secondFactors

/** An authenticator app and recovery codes of alice. */
async function enrol(server: TestServer) {
  const alice = await server.store.users.findByUsername('alice')
  if (!alice) throw new Error('no alice')
  const { secret, pending } = secondFactors(server).startTotpSetup(alice)
  const totp = new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 })
  const code = () => totp.generate({ timestamp: server.clock.now() * 1000 })
  await secondFactors(server).confirmTotpSetup(alice, pending, code(), CONTEXT)
  const recovery = await secondFactors(server).replaceRecoveryCodes(alice, CONTEXT)
  return { alice, recovery, code }
}

t.test(
  'refreshes, retries, factors, forms and revocations work on both nodes during a master key rotation (RFC 9700 §4.14.2; docs/security.md F68)',
  async (t) => {
    const w = await world(t as Test)
    const [one, two] = w.nodes
    const verifier = testVerifier(one, { statusList: true })
    t.teardown(() => verifier.verifier.close())

    const first = await signedIn(one)
    const second = await refreshed(two, first.refresh_token)
    const idle = await signedIn(two)
    const machine = (await clientCredentials(one)).json().access_token
    const revokedToken = (await clientCredentials(one)).json().access_token
    await revoke(one, revokedToken, 'machine')
    // A whole revoked block: the entry of a token must be found again by its position.
    const disabled = client({ id: 'disabled' })
    await one.store.clients.insert(disabled)
    await w.poll()
    const blocked = (await clientCredentials(one, {}, 'disabled')).json().access_token
    await one.store.clients.update('disabled', () => ({ ...disabled, disabled: true }))
    await one.store.status.revokeClient('disabled')
    const half = openBrowser(one)
    const login = await half.open(authorizeUrl())

    // Under constant load: client credentials and a chain of refreshes at each node.
    let stop = false
    const wrong: string[] = []
    const loads = w.nodes.map(async (node, i) => {
      let { refresh_token: token } = await signedIn(node)
      for (let turn = 0; !stop; turn += 1) {
        const other = w.nodes[(i + turn) % 2] ?? node
        const answers = [await refresh(other, token), await clientCredentials(node)]
        wrong.push(...answers.filter(({ statusCode }) => statusCode !== 200).map(({ body }) => body))
        token = answers[0]?.json().refresh_token ?? token
      }
    })
    await w.change()
    // The other node does not know the new data key yet. No node uses it before the other can read it.
    t.equal((await refresh(two, (await signedIn(one)).refresh_token)).statusCode, 200)
    await w.poll()
    const retry = await refreshed(one, first.refresh_token)
    t.equal(retry.refresh_token, second.refresh_token, 'a retry within the grace gets the same successor')
    one.clock.tick(CURRENT_AFTER)
    await w.poll()
    for (const node of w.nodes) t.equal(await isActive(node, idle.refresh_token), true)
    stop = true
    await Promise.all(loads)
    t.same(wrong, [], 'no request was refused meanwhile')

    const third = await refreshed(two, second.refresh_token)
    const late = await refreshed(one, second.refresh_token)
    t.equal(late.refresh_token, third.refresh_token, 'also a retry that began under the old data key')
    t.equal((await refresh(one, third.refresh_token)).statusCode, 200)
    t.equal((await refresh(two, idle.refresh_token)).statusCode, 200)

    const page = await completePages(half, login)
    const code = page.away?.params.get('code') ?? ''
    t.equal((await redeem(two, code)).statusCode, 200, 'a login page that was already open leads to tokens')

    const { alice, recovery, code: totp } = await enrol(one)
    t.equal(await secondFactors(two).checkCode(alice, recovery[0] ?? '', CONTEXT), 'recovery')
    one.clock.tick(30)
    t.equal(await secondFactors(two).checkCode(alice, totp(), CONTEXT), 'totp')

    const fresh = (await clientCredentials(two)).json().access_token
    await verifier.verifier.ready()
    t.same(
      [
        await verifier.verdict(machine),
        await verifier.verdict(revokedToken),
        await verifier.verdict(blocked),
      ],
      ['ok', 'revoked', 'revoked'],
    )
    t.equal(await verifier.verdict(fresh), 'ok')
    // A new node starts with the lists of both data keys.
    const three = await w.start(w.next)
    const other = testVerifier(three, { statusList: true })
    t.teardown(() => other.verifier.close())
    await other.verifier.ready()
    t.same(
      [await other.verdict(fresh), await other.verdict(revokedToken), await other.verdict(blocked)],
      ['ok', 'revoked', 'revoked'],
    )
  },
)

t.test(
  'second factors from before a master key rotation keep working and are re-encrypted with the new data key',
  async (t) => {
    const w = await world(t as Test)
    const [one, two] = w.nodes
    const { alice, recovery, code } = await enrol(one)
    await w.change()
    // Node two does not know the new data key yet.
    one.clock.tick(30)
    t.equal(await secondFactors(two).checkCode(alice, code(), CONTEXT), 'totp')
    t.equal((await one.store.factors.findTotp(alice.id))?.dataKey, 2)
    t.equal(await secondFactors(two).checkCode(alice, recovery[0] ?? '', CONTEXT), 'recovery')
    await w.poll()
    one.clock.tick(CURRENT_AFTER)
    t.equal(await secondFactors(one).checkCode(alice, recovery[1] ?? '', CONTEXT), 'recovery')
    t.equal(
      await secondFactors(one).checkCode(alice, recovery[1] ?? '', CONTEXT),
      null,
      'a recovery code works once',
    )
  },
)

t.test(
  'a node with only the new master key serves existing data, and the old key alone decrypts nothing',
  async (t) => {
    const w = await world(t as Test)
    const [one] = w.nodes
    const pair = await signedIn(one)
    const machine = (await clientCredentials(one)).json().access_token
    await w.change()
    await w.poll()
    one.clock.tick(CURRENT_AFTER)

    const three = await w.start(w.next)
    t.equal(await isActive(three, machine, 'machine'), true)
    const next = await refreshed(three, pair.refresh_token)
    t.equal((await refresh(one, next.refresh_token)).statusCode, 200)

    const config = testConfig({ ...settingsOf(one), MASTER_KEY: w.old })
    const base = await openBase(config, { logger: testLogger(), clock: one.clock }, 'create')
    t.teardown(() => base.store.db.close())
    await t.rejects(openKeys(base), {
      name: 'DecryptionError',
      message: /it is encrypted under the master key .{12}, which is not available here$/,
    })
  },
)

const settingsOf = ({ config }: TestServer) => ({ DATABASE_URL: config.databaseUrl })

t.test(
  'a database stolen after the rotation cannot be used with the old master key (docs/security.md Q8)',
  async (t) => {
    const w = await world(t as Test)
    const [one] = w.nodes
    const before = await one.store.ring.read()
    await w.change()
    const [ring, dataKeys] = [await one.store.ring.read(), await one.store.dataKeys.list()]
    const [old, next] = [w.old, w.next].map((text) => Buffer.from(text, 'base64url'))
    if (!ring || !old || !next) throw new Error('nothing to decrypt')
    const decrypted = (masterKey: Buffer) =>
      ring.keys.filter(({ kid, encryptedPrivateKey: text }) => {
        try {
          return masterKeysOf(masterKey).privateKeys.decrypt(kid, text ?? '') !== ''
        } catch {
          return false
        }
      }).length
    t.same([decrypted(old), decrypted(next)], [0, 2])
    t.equal(dataKeys.length, 2)
    for (const dataKey of dataKeys) {
      t.throws(() => decryptDataKey(masterKeysOf(old), dataKey), { name: 'DecryptionError' })
      t.ok(decryptDataKey(masterKeysOf(next), dataKey))
    }
    t.same(
      ring.keys.map(({ kid, state }) => [kid, state]),
      before?.keys.map(({ kid, state }) => [kid, state]),
      'the keys are the same, encrypted under another master key',
    )
    const { keys } = one.deps
    const [first, second] = dataKeys.map((dataKey) => decryptDataKey(keys.masterKeys, dataKey))
    t.notOk(
      second?.equals(first ?? Buffer.alloc(0)),
      'and there is a new data key, which an old dump does not have',
    )
  },
)

t.test('every node rotates the signing keys under the new master key', async (t) => {
  const w = await world(t as Test)
  const [one, two] = w.nodes
  await w.change()
  await w.poll()
  one.clock.tick(31 * DAY)
  await two.poll()
  await w.poll()
  const three = await w.start(w.next)
  for (const node of [one, two, three]) {
    const jwks = createLocalJWKSet((await node.inject({ url: '/.well-known/jwks.json' })).json())
    const token = (await clientCredentials(node)).json().access_token
    const currentDate = new Date(one.clock.now() * 1000)
    await t.resolves(jwtVerify(token, jwks, { issuer: ISSUER, currentDate }))
  }
  t.equal((await one.store.ring.read())?.keys.length, 3, 'it was rotated once')
})

t.test(
  'the status lists what depends on an old data key, and the key is deleted once nothing does',
  async (t) => {
    const w = await world(t as Test)
    const [one] = w.nodes
    const { recovery } = await enrol(one)
    const pair = await signedIn(one, {}, 'phone').catch(() => undefined)
    t.equal(pair, undefined, 'the password grant is refused because of the second factor')
    await w.change()
    await w.poll()
    one.clock.tick(CURRENT_AFTER + 8 * DAY)
    t.match(await oldDataKeys(one.deps.base), [
      { number: 1, recoveryCodes: 1, secondFactors: 0, unused: false },
    ])
    await one.deps.jobs.prune()
    t.equal((await one.store.dataKeys.list()).length, 2)

    const alice = await one.store.users.findByUsername('alice')
    if (!alice) throw new Error('no alice')
    t.equal(
      await secondFactors(one).checkCode(alice, recovery[0] ?? '', CONTEXT),
      'recovery',
      'valid for as long as needed',
    )
    await secondFactors(one).replaceRecoveryCodes(alice, CONTEXT)
    t.match(await oldDataKeys(one.deps.base), [{ recoveryCodes: 0, unused: true }])
    one.clock.tick(3601)
    await Promise.all(w.nodes.map(({ deps }) => deps.jobs.prune()))
    t.same(
      (await one.store.dataKeys.list()).map(({ number }) => number),
      [2],
    )
    const events = w.nodes.flatMap(({ logger }) => logger.audits('data_key.removed'))
    t.match(events, [{ target: '1' }], 'by one node')
    t.equal(events.length, 1)
    await w.poll()
    t.equal((await clientCredentials(one)).statusCode, 200)
  },
)

t.test('an old data key is kept as long as an unused session depends on it', async (t) => {
  const w = await world(t as Test)
  const [one, two] = w.nodes
  const pair = await signedIn(one)
  await w.change()
  await w.poll()
  one.clock.tick(CURRENT_AFTER + 3600)
  t.match(await oldDataKeys(one.deps.base), [{ sessions: 1, unused: false }])
  const next = await refreshed(two, pair.refresh_token)
  one.clock.tick(3 * 3600)
  t.match(await oldDataKeys(one.deps.base), [{ sessions: 0, unused: true }])
  await one.deps.jobs.prune()
  await w.poll()
  t.equal((await one.store.dataKeys.list()).length, 1)
  t.equal((await refresh(two, next.refresh_token)).statusCode, 200)
})

t.test(
  'after --compromised all earlier refresh tokens and recovery codes are invalid, and new sign-ins work',
  async (t) => {
    const w = await world(t as Test)
    const [one, two] = w.nodes
    const { alice, recovery, code } = await enrol(one)
    await one.store.factors.reset(alice.id)
    const pair = await signedIn(one)
    const again = await enrol(one)
    await w.change(true)
    await w.poll()
    for (const node of w.nodes) {
      t.match((await refresh(node, pair.refresh_token)).json(), { error: 'invalid_grant' })
      t.equal(await isActive(node, pair.access_token), true, 'an access token lives to its end')
    }
    t.equal(await secondFactors(one).checkCode(alice, recovery[0] ?? '', CONTEXT), null)
    t.equal(await secondFactors(one).checkCode(alice, again.recovery[0] ?? '', CONTEXT), null)
    one.clock.tick(30)
    t.equal(
      await secondFactors(two).checkCode(alice, again.code(), CONTEXT),
      'totp',
      'an authenticator app keeps working',
    )
    t.ok(code)
    const [dataKey] = await oldDataKeys(one.deps.base)
    t.match(dataKey, { invalidated: true, sessions: 0, recoveryCodes: 0 })
    await one.store.factors.reset(alice.id)
    const fresh = await signedIn(one)
    t.equal((await refresh(two, fresh.refresh_token)).statusCode, 200)
  },
)

t.test(
  'a node that cannot read a new data key answers 503 instead of reporting the token invalid',
  async (t) => {
    const w = await world(t as Test)
    const [one, two] = w.nodes
    await w.change(true)
    await one.poll()
    const { refresh_token: token } = await signedIn(one)
    // Frozen or partitioned for longer than the lease.
    const read = two.store.revisions.read
    Object.assign(two.store.revisions, { read: () => Promise.reject(new Error('cut off')) })
    two.clock.tick(11)
    const answer = await refresh(two, token)
    t.equal(answer.statusCode, 503, answer.body)
    Object.assign(two.store.revisions, { read })
    t.equal((await refresh(two, token)).statusCode, 200)
  },
)
