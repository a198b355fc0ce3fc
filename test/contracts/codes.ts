import type { AuthorizationCode } from '../../src/store/contracts/codes.ts'
import type { Store } from '../../src/store/index.ts'
import { api } from '../support/server/seed.ts'
import { insertOwners, session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'
import { pushed } from './pushed-requests.ts'
import { signIn } from './user-sessions.ts'

export function code(overrides: Partial<AuthorizationCode> = {}): AuthorizationCode {
  return {
    clientId: 'machine',
    userSessionId: 'browser',
    clientSessionId: 'session',
    userId: 'alice',
    redirectUri: 'https://app.test/back?x=1',
    redirectUriSent: true,
    codeChallenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    dpopJkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
    nonce: 'n-0S6_WzA2Mj',
    scopes: ['openid', 'orders:read'],
    audience: 'https://orders.test',
    authTime: 990,
    amr: ['pwd', 'otp'],
    requestedClaims: { idToken: ['name'], userinfo: ['email', 'email_verified'] },
    expiresAt: 1060,
    usedAt: null,
    revokedAt: null,
    pkceFailures: 0,
    ...overrides,
  }
}

/** What is left of a used code's details. */
const stripped = {
  nonce: null,
  scopes: [],
  audience: '',
  authTime: 0,
  amr: [],
  requestedClaims: { idToken: [], userinfo: [] },
}

/** A code without optional members. */
const bare = code({
  clientSessionId: 'bare',
  redirectUriSent: false,
  codeChallenge: null,
  dpopJkt: null,
  nonce: null,
  scopes: [],
  amr: [],
  requestedClaims: { idToken: [], userinfo: [] },
})

const MAX_PKCE_FAILURES = 5
const newSession = session({ userSessionId: 'browser' })

/** Alice is signed in, in one browser. */
async function signedIn(store: Store): Promise<void> {
  await insertOwners(store)
  await store.userSessions.insert(signIn(), 'secret')
}

export const codesContract: Contract = {
  'find returns every member of an inserted code': async (t, store) => {
    await signedIn(store)
    t.equal(await store.codes.insert('h', code({ pkceFailures: 2, usedAt: 5 }), 1000), true)
    t.equal(await store.codes.insert('h2', bare, 1000), true)
    t.same(await store.codes.find('h'), code({ pkceFailures: 2, usedAt: 5 }))
    t.same(await store.codes.find('h2'), bare)
    t.equal(await store.codes.find('H'), null)
    t.same(await store.codes.findWithUser('h2'), { code: bare, user: await store.users.find(bare.userId) })
    t.equal(await store.codes.findWithUser('H'), null)
  },

  'insert returns false and changes nothing if the user session has ended or does not exist (RFC 9700 §4.14.2; docs/security.md F72)':
    async (t, store) => {
      await signedIn(store)
      await store.userSessions.end('browser', 1000, 'signed out')
      t.equal(await store.codes.insert('h', code(), 1000), false)
      t.equal(await store.codes.insert('h', code({ userSessionId: 'nobody' }), 1000), false)
      t.equal(await store.codes.find('h'), null)
    },

  'insert returns false if the client does not exist or the hash is taken': async (t, store) => {
    await signedIn(store)
    t.equal(await store.codes.insert('h', code({ clientId: 'x' }), 1000), false)
    t.equal(await store.codes.insert('h', code(), 1000), true)
    t.equal(await store.codes.insert('h', code({ clientSessionId: 'other' }), 1000), false)
    t.same(await store.codes.find('h'), code())
  },

  'of fifty concurrent codes for one pushed request, one is inserted and consumes the request (RFC 9126 §2.2, §4; docs/security.md K121, P6)':
    async (t, store, database) => {
      await signedIn(store)
      const other = await database.connect()
      await store.pushedRequests.insert('pushed', pushed())
      const outcome = await winners(50, (i) =>
        (i % 2 ? store : other).codes.insert(`h${i}`, code({ clientSessionId: `s${i}` }), 1010, {
          pushed: 'pushed',
        }),
      )
      t.same(outcome, { won: 1, lost: 49 })
      t.same(await store.pushedRequests.find('pushed'), pushed({ usedAt: 1010 }))
      const codes = await Promise.all(Array.from({ length: 50 }, (_, i) => store.codes.find(`h${i}`)))
      t.equal(codes.filter((found) => found !== null).length, 1, 'there is one code')
    },

  'a code that is not inserted does not consume the pushed request, and a consumed request yields no code':
    async (t, store) => {
      await signedIn(store)
      await store.pushedRequests.insert('pushed', pushed())
      t.equal(
        await store.codes.insert('h', code({ userSessionId: 'nobody' }), 1010, { pushed: 'pushed' }),
        false,
      )
      t.equal(await store.codes.insert('h', code({ clientId: 'x' }), 1010, { pushed: 'pushed' }), false)
      t.same(await store.pushedRequests.find('pushed'), pushed())
      t.equal(await store.codes.insert('h', code(), 1010, { pushed: 'nothing' }), false)
      await store.pushedRequests.consume('pushed', 1005)
      t.equal(await store.codes.insert('h', code(), 1010, { pushed: 'pushed' }), false)
      t.equal(await store.codes.find('h'), null)
      t.same(await store.pushedRequests.find('pushed'), pushed({ usedAt: 1005 }))
    },

  'insert with a stored consent returns false once the consent was withdrawn': async (t, store) => {
    await signedIn(store)
    const consent = {
      userId: 'alice',
      clientId: 'machine',
      audience: 'https://orders.test',
      scopes: ['openid'],
      grantedAt: 1,
    }
    await store.consents.add(consent)
    t.equal(await store.codes.insert('h1', code(), 1000, { consent }), true)
    await store.consents.delete('alice', 'machine')
    t.equal(await store.codes.insert('h2', code({ clientSessionId: 'x' }), 1000, { consent }), false)
    t.equal(await store.codes.find('h2'), null)
  },

  'revokeMatching revokes the unused codes of the client or the user, which cannot be redeemed then (docs/security.md S5)':
    async (t, store) => {
      await signedIn(store)
      await store.codes.insert('used', code(), 1000)
      t.equal(await store.codes.redeem('used', newSession, 1001, MAX_PKCE_FAILURES), true)
      for (const filter of [{ clientId: 'machine' }, { userId: 'alice' }, { userSessionId: 'browser' }]) {
        const hash = JSON.stringify(filter)
        await store.codes.insert(hash, code({ clientSessionId: hash }), 1000)
        await store.codes.insert(
          'other',
          code({ clientSessionId: 'other', clientId: 'phone', userId: 'bob' }),
          1000,
        )
        await store.clientSessions.revokeMatching(filter, 1010, 'test')
        t.equal((await store.codes.find(hash))?.revokedAt, 1010, hash)
        t.equal(await store.codes.redeem(hash, session({ id: hash }), 1011, MAX_PKCE_FAILURES), false)
        t.equal(await store.clientSessions.find(hash), null)
      }
      t.equal(
        (await store.codes.find('used'))?.revokedAt,
        null,
        'a used code is only needed to detect a replay',
      )
    },

  'insert and redeem return false, and change nothing, if the client or the user has changed since the grant read it':
    async (t, store) => {
      await signedIn(store)
      const client = await store.clients.find('machine')
      const user = await store.users.find('alice')
      if (!client || !user) throw new Error('the owners are missing')
      const owners = { client, user }
      t.equal(await store.codes.insert('h', code(), 1000, { owners }), true)
      await store.clients.update('machine', (one) => ({ ...one, disabled: true }))
      await store.clients.update('machine', (one) => ({ ...one, disabled: false }))
      t.equal(await store.codes.insert('h2', code({ clientSessionId: 'x' }), 1000, { owners }), false)
      t.equal(await store.codes.redeem('h', newSession, 1001, MAX_PKCE_FAILURES, owners), false)
      t.equal(await store.clientSessions.insert(session({ id: 'y' }), owners), false)
      t.match(await store.codes.find('h'), { usedAt: null })
      const again = await store.clients.find('machine')
      const now = { client: again ?? client, user }
      await store.users.setDisabled('alice', true)
      await store.users.setDisabled('alice', false)
      t.equal(await store.codes.redeem('h', newSession, 1001, MAX_PKCE_FAILURES, now), false)
      const fresh = { ...now, user: (await store.users.find('alice')) ?? user }
      t.equal(await store.codes.redeem('h', newSession, 1001, MAX_PKCE_FAILURES, fresh), true)
      t.equal(await store.clientSessions.insert(session({ id: 'y' }), fresh), true)
    },

  'a client, an API or a role that is deleted and created again has a revision that no writer has seen':
    async (t, store) => {
      await signedIn(store)
      const client = await store.clients.find('machine')
      const user = await store.users.find('alice')
      if (!client || !user) throw new Error('the owners are missing')
      for (let i = 0; i < 3; i += 1)
        await store.clients.update('machine', (one) => ({ ...one, name: `name ${i}` }))
      const changed = await store.clients.find('machine')
      await store.clients.delete('machine')
      await store.clients.insert(client)
      const again = await store.clients.find('machine')
      t.ok((again?.revision ?? 0) > (changed?.revision ?? 0), 'the client')
      t.equal(
        await store.clientSessions.insert(session({ id: 'y' }), { client, user }),
        false,
        'a grant under way',
      )
      const role = { name: 'clerk', scopes: ['a'], requireSecondFactor: false, createdAt: 1 }
      const one = api({ identifier: 'https://a.test', scopes: ['a'] })
      await store.roles.insert(role)
      await store.apis.insert(one)
      const roleBefore = (await store.roles.list())[0]?.revision ?? 0
      const apiBefore = (await store.apis.list())[0]?.revision ?? 0
      await store.roles.delete('clerk')
      await store.apis.delete('https://a.test')
      await store.roles.insert(role)
      await store.apis.insert(one)
      t.ok(((await store.roles.list())[0]?.revision ?? 0) > roleBefore, 'the role')
      t.ok(((await store.apis.list())[0]?.revision ?? 0) > apiBefore, 'the API')
    },

  'a redemption and a revocation at the same moment leave no active session': async (t, store, database) => {
    await signedIn(store)
    const other = await database.connect()
    for (let i = 0; i < 10; i += 1) {
      await store.codes.insert(`h${i}`, code({ clientSessionId: `s${i}` }), 1000)
      await Promise.all([
        store.codes.redeem(
          `h${i}`,
          session({ id: `s${i}`, userSessionId: 'browser' }),
          1001,
          MAX_PKCE_FAILURES,
        ),
        other.clientSessions.revokeMatching({ clientId: 'machine' }, 1001, 'test'),
      ])
      const found = await store.clientSessions.find(`s${i}`)
      t.ok(found === null || found.revokedAt !== null, `${i}: ${found ? 'revoked' : 'never begun'}`)
    }
  },

  'redeem consumes the code and begins its session, and find still returns used and expired codes': async (
    t,
    store,
  ) => {
    await signedIn(store)
    await store.codes.insert('h', code(), 1000)
    await store.codes.insert('old', code({ clientSessionId: 'x', expiresAt: 1 }), 1000)
    t.equal(await store.codes.redeem('h', newSession, 1010, MAX_PKCE_FAILURES), true)
    t.same(
      await store.codes.find('h'),
      { ...code({ usedAt: 1010 }), ...stripped },
      'only what recognizes a replay',
    )
    t.same(await store.clientSessions.find('session'), newSession)
    t.not(await store.codes.find('old'), null)
  },

  'of fifty concurrent redemptions on two connections, one succeeds and one session begins (RFC 6749 §4.1.2; docs/security.md E60, P3)':
    async (t, store, database) => {
      await signedIn(store)
      const other = await database.connect()
      for (const hash of ['h1', 'h2', 'h3']) {
        await store.codes.insert(hash, code({ clientSessionId: hash }), 1000)
        // Each redemption has its own session, so that only the code makes it single-use.
        const outcome = await winners(50, (i) =>
          (i % 2 ? store : other).codes.redeem(
            hash,
            { ...newSession, id: `${hash}-${i}` },
            1010,
            MAX_PKCE_FAILURES,
          ),
        )
        t.same(outcome, { won: 1, lost: 49 })
      }
      t.equal((await store.clientSessions.list({}, 200)).length, 3, 'one session per code')
    },

  'redeem returns false and changes nothing if the code has expired (RFC 6749 §4.1.2; docs/security.md C47)':
    async (t, store) => {
      await signedIn(store)
      await store.codes.insert('h', code(), 1000)
      for (const now of [1060, 1061, 9000]) {
        t.equal(await store.codes.redeem('h', newSession, now, MAX_PKCE_FAILURES), false, String(now))
      }
      t.equal(await store.clientSessions.find('session'), null)
      t.same(await store.codes.find('h'), code())
      t.equal(await store.codes.redeem('h', newSession, 1059, MAX_PKCE_FAILURES), true)
    },

  'redeem returns false and changes nothing after too many wrong verifiers (RFC 7636 §4.1, §4.6; docs/security.md D54, P10)':
    async (t, store) => {
      await signedIn(store)
      await store.codes.insert('h', code(), 1000)
      await store.codes.insert('h2', code({ clientSessionId: 'second' }), 1000)
      for (let i = 0; i < MAX_PKCE_FAILURES; i += 1) await store.codes.countPkceFailure('h')
      for (let i = 0; i < MAX_PKCE_FAILURES - 1; i += 1) await store.codes.countPkceFailure('h2')
      t.equal(await store.codes.redeem('h', newSession, 1010, MAX_PKCE_FAILURES), false)
      t.equal(await store.clientSessions.find('session'), null)
      t.same(await store.codes.find('h'), code({ pkceFailures: MAX_PKCE_FAILURES }))
      t.equal(
        await store.codes.redeem('h2', { ...newSession, id: 'second' }, 1010, MAX_PKCE_FAILURES),
        true,
        'with one wrong verifier fewer the code can be redeemed',
      )
    },

  'redeem returns false and begins no session if the user session has ended': async (t, store, database) => {
    await signedIn(store)
    const other = await database.connect()
    await store.codes.insert('h', code(), 1000)
    await other.userSessions.end('browser', 1005, 'signed out')
    t.equal(await store.codes.redeem('h', newSession, 1010, MAX_PKCE_FAILURES), false)
    t.equal(await store.clientSessions.find('session'), null)
    t.same(await store.codes.find('h'), code())
  },

  'redeem returns false and begins no session if the user session has expired': async (t, store) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn({ idleExpiresAt: 1020 }), 'h1')
    await store.userSessions.insert(signIn({ id: 'other', expiresAt: 1020 }), 'h2')
    await store.codes.insert('idle', code(), 1000)
    await store.codes.insert('over', code({ clientSessionId: 's2', userSessionId: 'other' }), 1000)
    for (const hash of ['idle', 'over'])
      t.equal(await store.codes.redeem(hash, newSession, 1020, MAX_PKCE_FAILURES), false)
    t.equal(await store.clientSessions.find('session'), null)
    t.equal(await store.codes.redeem('idle', newSession, 1019, MAX_PKCE_FAILURES), true)
    t.equal(await store.codes.redeem('over', { ...newSession, id: 's2' }, 1019, MAX_PKCE_FAILURES), true)
  },

  'a sign-out while codes are redeemed leaves no session (RFC 9700 §4.14.2; docs/security.md F72)': async (
    t,
    store,
    database,
  ) => {
    await signedIn(store)
    const other = await database.connect()
    const hashes = Array.from({ length: 20 }, (_, i) => `h${i}`)
    for (const hash of hashes) await store.codes.insert(hash, code({ clientSessionId: hash }), 1000)
    const redeem = (hash: string) =>
      store.codes.redeem(hash, { ...newSession, id: hash }, 1010, MAX_PKCE_FAILURES)
    const half = hashes.length / 2
    const [ended, ...redeemed] = await Promise.all([
      new Promise((resolve) => setImmediate(resolve)).then(() =>
        other.userSessions.end('browser', 1010, 'out'),
      ),
      ...hashes.slice(0, half).map(redeem),
      ...hashes.slice(half).map(async (hash, i) => {
        for (let turn = 0; turn < i; turn += 1) await store.codes.find(hash)
        return redeem(hash)
      }),
    ])
    const startedIds = hashes.filter((_, i) => redeemed[i])
    t.same(ended?.sort(), startedIds.sort(), 'the sign-out ended the sessions that had begun')
    t.same(
      (await store.clientSessions.list({}, 100)).filter((one) => one.revokedAt === null),
      [],
    )
  },

  'redeem returns false and does not consume the code if its session cannot begin': async (t, store) => {
    await signedIn(store)
    await store.codes.insert('h', code(), 1000)
    t.equal(await store.codes.redeem('h', { ...newSession, userId: 'x' }, 1010, MAX_PKCE_FAILURES), false)
    t.same(await store.codes.find('h'), code())
    t.equal(await store.codes.redeem('nothing', newSession, 1010, MAX_PKCE_FAILURES), false)
    t.equal(await store.clientSessions.find('session'), null)
  },

  'countPkceFailure counts every wrong verifier of one code': async (t, store, database) => {
    await signedIn(store)
    const other = await database.connect()
    await store.codes.insert('h', code(), 1000)
    await store.codes.insert('h2', code({ clientSessionId: 'second' }), 1000)
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? store : other).codes.countPkceFailure('h')),
    )
    t.equal((await store.codes.find('h'))?.pkceFailures, 50)
    t.equal((await store.codes.find('h2'))?.pkceFailures, 0)
  },

  'prune deletes at most the given number of expired codes and returns how many (docs/security.md Q20)':
    async (t, store) => {
      await signedIn(store)
      for (let i = 1; i <= 5; i += 1) {
        await store.codes.insert(`h${i}`, code({ clientSessionId: `s${i}`, expiresAt: i }), 0)
      }
      t.equal(await store.codes.prune(4, 2), 2)
      t.equal(await store.codes.prune(4, 2), 1)
      t.equal(await store.codes.prune(4, 2), 0)
      t.equal(await store.codes.find('h3'), null)
      t.not(await store.codes.find('h4'), null)
      t.not(await store.codes.find('h5'), null)
    },

  'prune keeps a used code until its session can no longer last, also after its user session was deleted (docs/security.md Q22)':
    async (t, store) => {
      await signedIn(store)
      await store.codes.insert('h', code(), 1000)
      const lasting = { ...newSession, expiresAt: 90_000 }
      t.equal(await store.codes.redeem('h', lasting, 1010, MAX_PKCE_FAILURES), true)
      await store.userSessions.prune(1_000_000_000_000, 10)
      t.equal(await store.userSessions.find('browser'), null)
      t.equal(await store.codes.prune(90_000, 10), 0)
      t.match(await store.codes.find('h'), { usedAt: 1010, userSessionId: null, clientSessionId: lasting.id })
      t.equal(await store.codes.prune(90_001, 10), 1)
    },

  'of concurrent codes that are inserted with the same claim, one is inserted': async (t, store) => {
    await signedIn(store)
    const claim = { id: 'request', until: 5000 }
    const outcome = await winners(10, (i) =>
      store.codes.insert(`h${i}`, code({ clientSessionId: `s${i}` }), 1000, { claim }),
    )
    t.same(outcome, { won: 1, lost: 9 })
    t.equal(await store.singleUse.has('request'), true)
    t.equal(await store.singleUse.has('other'), false)
  },
}
