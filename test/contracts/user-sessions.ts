import type { UserSession } from '../../src/store/contracts/user-sessions.ts'
import { createStore, type Store } from '../../src/store/index.ts'
import { insertOwners, session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'

export function signIn(overrides: Partial<UserSession> = {}): UserSession {
  return {
    id: 'browser',
    userId: 'alice',
    createdAt: 1000,
    authTime: 1000,
    amr: ['pwd'],
    expiresAt: 9000,
    idleExpiresAt: 2000,
    endedAt: null,
    ip: '192.0.2.1',
    userAgent: 'Browser/1.0',
    ...overrides,
  }
}

const proof = { authTime: 1500, amr: ['pwd', 'otp', 'mfa'], idleExpiresAt: 2500 }

/** The same database, with an action that runs after every read. */
function afterReading(store: Store, action: () => Promise<unknown>): Store {
  const { db } = store
  return createStore({
    query: async (sql, params) => {
      const rows = await db.query(sql, params)
      await action()
      return rows as never
    },
    batch: (steps) => db.batch(steps),
    close: () => db.close(),
  })
}

export const userSessionsContract: Contract = {
  'a session is found by secret and by id, with every member': async (t, store) => {
    await insertOwners(store)
    const full = signIn({ authTime: 1100, amr: ['pwd', 'otp', 'mfa'], userAgent: 'Bröwser “1”' })
    t.equal(await store.userSessions.insert(full, 'hash'), true)
    t.same(await store.userSessions.findBySecret('hash'), full)
    t.same(await store.userSessions.find('browser'), full)
    t.equal(await store.userSessions.findBySecret('HASH'), null)
    t.equal(await store.userSessions.findBySecret('browser'), null)
    t.equal(await store.userSessions.find('hash'), null)
  },

  'insert returns false and changes nothing if the user does not exist, or the id or secret is taken': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    t.equal(await store.userSessions.insert(signIn({ userId: 'x' }), 'h'), false)
    t.equal(await store.userSessions.find('browser'), null)
    t.equal(await store.userSessions.insert(signIn(), 'h'), true)
    t.equal(await store.userSessions.insert(signIn({ id: 'another' }), 'h'), false)
    t.equal(await store.userSessions.insert(signIn({ userId: 'bob' }), 'h2'), false)
    t.same(await store.userSessions.find('browser'), signIn())
  },

  'an ended session is found with the time of its end': async (t, store) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'h')
    await store.userSessions.end('browser', 1200, 'signed out')
    t.same(await store.userSessions.findBySecret('h'), signIn({ endedAt: 1200 }))
    t.same(await store.userSessions.find('browser'), signIn({ endedAt: 1200 }))
  },

  'renew replaces the secret and stores the new authentication (RFC 6749 §10.12; docs/security.md C41, P23)':
    async (t, store) => {
      await insertOwners(store)
      await store.userSessions.insert(signIn(), 'old')
      t.equal(await store.userSessions.renew('browser', { expected: 'old', replacement: 'new' }, proof), true)
      t.equal(await store.userSessions.findBySecret('old'), null)
      t.same(await store.userSessions.findBySecret('new'), signIn(proof))
    },

  'of fifty concurrent renewals on two connections, one succeeds': async (t, store, database) => {
    await insertOwners(store)
    const other = await database.connect()
    await store.userSessions.insert(signIn(), 'old')
    const outcome = await winners(50, (i) =>
      (i % 2 ? store : other).userSessions.renew(
        'browser',
        { expected: 'old', replacement: `new${i}` },
        proof,
      ),
    )
    t.same(outcome, { won: 1, lost: 49 })
  },

  'renew returns false and changes nothing if the session has ended or has another secret': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'h')
    t.equal(
      await store.userSessions.renew('browser', { expected: 'other', replacement: 'new' }, proof),
      false,
    )
    t.equal(await store.userSessions.renew('nobody', { expected: 'h', replacement: 'new' }, proof), false)
    t.same(await store.userSessions.findBySecret('h'), signIn())
    await store.userSessions.end('browser', 1200, 'signed out')
    t.equal(await store.userSessions.renew('browser', { expected: 'h', replacement: 'new' }, proof), false)
    t.same(await store.userSessions.findBySecret('h'), signIn({ endedAt: 1200 }))
  },

  'touch extends the idle expiry and never moves it back': async (t, store) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'h')
    await store.userSessions.insert(signIn({ id: 'other' }), 'h2')
    await store.userSessions.touch('browser', 2100)
    t.same(await store.userSessions.find('browser'), signIn({ idleExpiresAt: 2100 }))
    await store.userSessions.touch('browser', 2050)
    t.same(await store.userSessions.find('browser'), signIn({ idleExpiresAt: 2100 }))
    t.same(await store.userSessions.find('other'), signIn({ id: 'other' }), 'only this session is extended')
  },

  'end revokes the client sessions that are not offline and returns their ids (OpenID Connect Back-Channel Logout §2.7; docs/security.md N150)':
    async (t, store) => {
      await insertOwners(store)
      await store.userSessions.insert(signIn(), 'h')
      await store.userSessions.insert(signIn({ id: 'other' }), 'h2')
      const sameBrowser = { userSessionId: 'browser' }
      await store.clientSessions.insert(session({ ...sameBrowser, id: 's1', status: { list: 0, idx: 1 } }))
      await store.clientSessions.insert(
        session({ ...sameBrowser, id: 's2', clientId: 'phone', status: { list: 0, idx: 4 } }),
      )
      await store.clientSessions.insert(
        session({ ...sameBrowser, id: 'offline', offline: true, status: { list: 0, idx: 2 } }),
      )
      await store.clientSessions.insert(
        session({ ...sameBrowser, id: 'dead', revokedAt: 1, revokedReason: 'before' }),
      )
      await store.clientSessions.insert(
        session({ id: 'elsewhere', userSessionId: 'other', status: { list: 0, idx: 3 } }),
      )
      await store.clientSessions.insert(session({ id: 'nowhere' }))

      t.same((await store.userSessions.end('browser', 1200, 'signed out'))?.sort(), ['s1', 's2'])
      for (const id of ['s1', 's2']) {
        t.match(await store.clientSessions.find(id), { revokedAt: 1200, revokedReason: 'signed out' }, id)
      }
      for (const id of ['offline', 'elsewhere', 'nowhere']) {
        t.equal((await store.clientSessions.find(id))?.revokedAt, null, id)
      }
      t.match(await store.clientSessions.find('dead'), { revokedAt: 1, revokedReason: 'before' })
      t.same((await store.status.changesSince(0, 1200)).entries.map(({ idx }) => idx).sort(), [1, 4])
      t.equal((await store.userSessions.find('other'))?.endedAt, null)
    },

  'end puts the clients into the logout outbox, even for offline sessions': async (t, store) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'h')
    const notified = { userSessionId: 'browser', backchannelLogout: true }
    await store.clientSessions.insert(session({ ...notified, id: 's1' }))
    await store.clientSessions.insert(session({ ...notified, id: 's2', clientId: 'phone', offline: true }))
    await store.clientSessions.insert(session({ ...notified, id: 's3', backchannelLogout: false }))
    await store.clientSessions.insert(
      session({ ...notified, id: 's4', revokedAt: 1, revokedReason: 'before' }),
    )
    await store.clientSessions.insert(session({ ...notified, id: 's5', userSessionId: 'other' }))
    await store.userSessions.end('browser', 1200, 'signed out')
    const notice = { userId: 'alice', attempts: 0, dueAt: 1200 }
    t.same(await store.logoutOutbox.due(1200, 10), [
      { ...notice, clientSessionId: 's1', clientId: 'machine' },
      { ...notice, clientSessionId: 's2', clientId: 'phone' },
    ])
  },

  'end returns null and changes nothing if the session has ended or does not exist': async (t, store) => {
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'h')
    t.same(
      await store.userSessions.end('browser', 1200, 'first'),
      [],
      'a user session without client sessions ends as well',
    )
    await store.clientSessions.insert(
      session({ id: 'late', userSessionId: 'browser', backchannelLogout: true }),
    )
    t.equal(await store.userSessions.end('browser', 1300, 'second'), null)
    t.equal(await store.userSessions.end('nobody', 1300, 'second'), null)
    t.same(await store.userSessions.find('browser'), signIn({ endedAt: 1200 }))
    t.same(
      await store.clientSessions.find('late'),
      session({ id: 'late', userSessionId: 'browser', backchannelLogout: true }),
    )
    t.same(await store.logoutOutbox.due(9999, 10), [])
  },

  'of fifty concurrent calls of end on two connections, one returns the client sessions': async (
    t,
    store,
    database,
  ) => {
    await insertOwners(store)
    const other = await database.connect()
    await store.userSessions.insert(signIn(), 'h')
    for (const id of ['s1', 's2', 's3'])
      await store.clientSessions.insert(session({ id, userSessionId: 'browser' }))
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        (i % 2 ? store : other).userSessions.end('browser', 1200, `r${i}`),
      ),
    )
    const returned = answers.filter((ids) => ids !== null)
    t.same(
      returned.map((ids) => ids.sort()),
      [['s1', 's2', 's3']],
    )
    const reasons = (await store.clientSessions.list({}, 10)).map((one) => one.revokedReason)
    t.equal(new Set(reasons).size, 1)
  },

  'end includes client sessions that begin during the call, and omits those that end': async (
    t,
    store,
    database,
  ) => {
    await insertOwners(store)
    const other = await database.connect()
    await store.userSessions.insert(signIn(), 'h')
    for (const id of ['s1', 's2'])
      await store.clientSessions.insert(session({ id, userSessionId: 'browser' }))
    let reads = 0
    const slow = afterReading(store, async () => {
      reads += 1
      if (reads > 1) return
      await other.clientSessions.insert(session({ id: 'fresh', userSessionId: 'browser' }))
      await other.clientSessions.revoke('s2', 1150, 'by itself')
    })
    t.same((await slow.userSessions.end('browser', 1200, 'signed out'))?.sort(), ['fresh', 's1'])
    t.match(await store.clientSessions.find('fresh'), { revokedAt: 1200 })
    t.match(await store.clientSessions.find('s2'), { revokedAt: 1150, revokedReason: 'by itself' })
  },

  'list returns the sessions of a user that have neither ended nor expired, newest first': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    const insert = (id: string, overrides: Partial<UserSession>) =>
      store.userSessions.insert(signIn({ id, ...overrides }), `hash of ${id}`)
    await insert('first', { createdAt: 1 })
    await insert('second', { createdAt: 2 })
    await insert('ended', { createdAt: 3, endedAt: 4 })
    await insert('over', { createdAt: 4, expiresAt: 1500 })
    await insert('idle', { createdAt: 5, idleExpiresAt: 1500 })
    await insert('bobs', { createdAt: 6, userId: 'bob' })
    const ids = async (now: number) => (await store.userSessions.list('alice', now)).map((one) => one.id)
    t.same(await ids(1499), ['idle', 'over', 'second', 'first'])
    t.same(await ids(1500), ['second', 'first'])
    t.same(await store.userSessions.list('bob', 1500), [signIn({ id: 'bobs', createdAt: 6, userId: 'bob' })])
    t.same(await store.userSessions.list('nobody', 1500), [])
  },

  'prune deletes at most the given number of ended sessions and returns how many (docs/security.md Q20)':
    async (t, store) => {
      await insertOwners(store)
      for (let i = 1; i <= 5; i += 1) {
        await store.userSessions.insert(signIn({ id: `b${i}`, idleExpiresAt: i }), `h${i}`)
      }
      t.equal(await store.userSessions.prune(4, 2), 2)
      t.equal(await store.userSessions.prune(4, 2), 1)
      t.equal(await store.userSessions.prune(4, 2), 0)
      const left = await store.userSessions.list('alice', 0)
      t.same(left.map((one) => one.id).sort(), ['b4', 'b5'])
    },
}
