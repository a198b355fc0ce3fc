import type { ClientSession } from '../../src/store/contracts/client-sessions.ts'
import type { Store } from '../../src/store/index.ts'
import { client, session as newSession, user } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'

export function session(overrides: Partial<ClientSession> = {}): ClientSession {
  return newSession(1000, {
    id: 'session',
    clientId: 'machine',
    userId: 'alice',
    scopes: ['orders:write', 'orders:read'],
    expiresAt: 9000,
    idleExpiresAt: 2000,
    ...overrides,
  })
}

/** Inserts the two clients and two users that the sessions belong to. */
export async function insertOwners(store: Store): Promise<void> {
  for (const id of ['machine', 'phone']) await store.clients.insert(client({ id }))
  for (const id of ['alice', 'bob']) await store.users.insert(await user({ id, username: id, roles: [] }))
}

export const sessionsContract: Contract = {
  'find returns every member of an inserted session': async (t, store) => {
    await insertOwners(store)
    const full = session({
      generation: 7,
      rotatedAt: 1500,
      authTime: 900,
      revokedAt: 1600,
      revokedReason: 'reuse',
      userSessionId: 'browser',
      amr: ['pwd', 'otp', 'mfa'],
      userinfoClaims: ['name', 'email'],
      offline: true,
      backchannelLogout: true,
      confirmation: { jkt: 'thumbprint', 'x5t#S256': 'hash' },
      boundFrom: 3,
    })
    await store.clientSessions.insert(full)
    await store.clientSessions.insert(session({ id: 'bare', scopes: [] }))
    t.same(await store.clientSessions.find('session'), full)
    t.same((await store.clientSessions.find('bare'))?.scopes, [])
    t.equal(await store.clientSessions.find('nobody'), null)
  },

  'findWithUser returns the session and its user with all roles, as they are at one moment': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    for (const name of ['clerk', 'admin'])
      await store.roles.insert({ name, scopes: [], requireSecondFactor: false, createdAt: 1 })
    await store.clientSessions.insert(session())
    await store.clientSessions.insert(session({ id: 'other', userId: 'bob' }))
    await store.users.addRole('alice', 'clerk')
    await store.users.addRole('alice', 'admin')
    const found = await store.clientSessions.findWithUser('session')
    t.same(found, { session: session(), user: await store.users.find('alice') })
    t.same(found?.user.roles, ['admin', 'clerk'])
    t.same((await store.clientSessions.findWithUser('other'))?.user.roles, [])
    t.equal(await store.clientSessions.findWithUser('nobody'), null)
  },

  'findWithUser and rotate do for each session what they do alone, if fifty come at once': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    for (const name of ['clerk', 'admin'])
      await store.roles.insert({ name, scopes: [], requireSecondFactor: false, createdAt: 1 })
    await store.users.addRole('alice', 'clerk')
    await store.users.addRole('alice', 'admin')
    const ids = Array.from({ length: 50 }, (_, i) => `session-${i}`)
    const expected = ids.map((id, i) =>
      session({ id, userId: i % 3 === 0 ? 'bob' : 'alice', generation: 1 + (i % 2) }),
    )
    for (const one of expected) await store.clientSessions.insert(one)
    const users = new Map([
      ['alice', await store.users.find('alice')],
      ['bob', await store.users.find('bob')],
    ])
    const found = await Promise.all(
      [...ids, 'nobody', 'session-0', 'session-0'].map(store.clientSessions.findWithUser),
    )
    const [first] = expected
    t.same(
      found,
      [...expected, null, first, first].map((one) => one && { session: one, user: users.get(one.userId) }),
    )
    // The generation of every second session is another one, and the first session comes three times.
    const rotated = await Promise.all(
      [...ids, 'nobody', 'session-0', 'session-0'].map((id) =>
        store.clientSessions.rotate(id, 1, 1500, 2500),
      ),
    )
    t.same(rotated.slice(1, 51), [...expected.slice(1).map(({ generation }) => generation === 1), false])
    t.equal([rotated[0], ...rotated.slice(51)].filter(Boolean).length, 1)
    for (const { id } of expected) t.equal((await store.clientSessions.find(id))?.generation, 2)
  },

  'prune deletes sessions that ended before the time and no others, in whichever hour': async (t, store) => {
    await insertOwners(store)
    const hour = 3600
    const ends = {
      early: hour - 1,
      full: 5 * hour,
      before: 5 * hour + 99,
      at: 5 * hour + 100,
      later: 9 * hour,
    }
    for (const [id, idleExpiresAt] of Object.entries(ends))
      await store.clientSessions.insert(session({ id, idleExpiresAt }))
    t.equal(await store.clientSessions.prune(5 * hour + 100, 2), 2, 'the oldest first')
    t.equal(await store.clientSessions.find('early'), null)
    t.equal(await store.clientSessions.prune(5 * hour + 100, 10), 1)
    t.same((await store.clientSessions.list({}, 10)).map(({ id }) => id).sort(), ['at', 'later'])
    t.equal(await store.clientSessions.rotate('at', 1, 5 * hour, 20 * hour), true)
    t.equal(await store.clientSessions.prune(10 * hour, 10), 1, 'a session that was extended stays')
    t.not(await store.clientSessions.find('at'), null)
  },

  'insert returns false and changes nothing if the client or the user does not exist, or the id is taken':
    async (t, store) => {
      await insertOwners(store)
      t.equal(await store.clientSessions.insert(session({ clientId: 'x' })), false)
      t.equal(await store.clientSessions.insert(session({ userId: 'x' })), false)
      t.equal(await store.clientSessions.insert(session()), true)
      t.equal(await store.clientSessions.insert(session({ generation: 9 })), false)
      t.same(await store.clientSessions.list({}, 10), [session()])
    },

  'rotate binds the new generation and all later ones if it is told to (RFC 9449 §5; docs/security.md L130)':
    async (t, store) => {
      await insertOwners(store)
      await store.clientSessions.insert(session())
      const bound = async () => {
        const found = await store.clientSessions.find('session')
        return [found?.generation, found?.confirmation, found?.boundFrom]
      }
      await store.clientSessions.rotate('session', 1, 1100, 2100)
      t.same(await bound(), [2, null, 1])
      t.equal(await store.clientSessions.rotate('session', 1, 1100, 2100, { jkt: 'other' }), false)
      t.same(await bound(), [2, null, 1])
      await store.clientSessions.rotate('session', 2, 1100, 2100, { jkt: 'key' })
      t.same(await bound(), [3, { jkt: 'key' }, 3])
      await store.clientSessions.rotate('session', 3, 1100, 2100)
      t.same(await bound(), [4, { jkt: 'key' }, 3])
    },

  'rotate increments the generation and extends the idle expiry': async (t, store) => {
    await insertOwners(store)
    await store.clientSessions.insert(session())
    t.equal(await store.clientSessions.rotate('session', 1, 1100, 2100), true)
    t.same(
      await store.clientSessions.find('session'),
      session({ generation: 2, rotatedAt: 1100, idleExpiresAt: 2100 }),
    )
  },

  'of fifty concurrent rotations on two connections, exactly one succeeds (RFC 9700 §4.14.2; docs/security.md F69, P1, P2)':
    async (t, store, database) => {
      await insertOwners(store)
      const other = await database.connect()
      await store.clientSessions.insert(session())
      for (const generation of [1, 2, 3]) {
        const outcome = await winners(50, (i) =>
          (i % 2 ? store : other).clientSessions.rotate('session', generation, 1100 + i, 2100),
        )
        t.same(outcome, { won: 1, lost: 49 })
      }
      t.equal(
        (await store.clientSessions.find('session'))?.generation,
        4,
        'each round advances one generation, so there is no fork',
      )
    },

  'rotate returns false and changes nothing for any generation except the current one': async (t, store) => {
    await insertOwners(store)
    const third = session({ generation: 3 })
    await store.clientSessions.insert(third)
    for (const generation of [0, 1, 2, 4, 1e9]) {
      t.equal(await store.clientSessions.rotate('session', generation, 1100, 2100), false, String(generation))
    }
    t.equal(await store.clientSessions.rotate('nobody', 1, 1100, 2100), false)
    t.same(await store.clientSessions.find('session'), third)
  },

  'extend moves the idle expiry, never back, and keeps the generation': async (t, store) => {
    await insertOwners(store)
    await store.clientSessions.insert(session())
    t.equal(await store.clientSessions.extend('session', 1, 2100), true)
    t.same(await store.clientSessions.find('session'), session({ idleExpiresAt: 2100 }))
    t.equal(await store.clientSessions.extend('session', 1, 2050), true, 'a refresh that was slower')
    t.same(await store.clientSessions.find('session'), session({ idleExpiresAt: 2100 }))
  },

  'extend returns false and changes nothing for another generation and for a revoked session': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    await store.clientSessions.insert(session({ generation: 2 }))
    for (const generation of [1, 3]) {
      t.equal(await store.clientSessions.extend('session', generation, 2100), false, String(generation))
    }
    t.equal(await store.clientSessions.extend('nobody', 2, 2100), false)
    t.same(await store.clientSessions.find('session'), session({ generation: 2 }))
    await store.clientSessions.revoke('session', 1100, 'test')
    t.equal(await store.clientSessions.extend('session', 2, 2100), false)
    t.equal((await store.clientSessions.find('session'))?.idleExpiresAt, 2000)
  },

  'rotate returns false for a revoked session (RFC 9700 §4.14.2; docs/security.md P2)': async (t, store) => {
    await insertOwners(store)
    await store.clientSessions.insert(session())
    await store.clientSessions.revoke('session', 1050, 'by the operator')
    t.equal(await store.clientSessions.rotate('session', 1, 1100, 2100), false)
    t.equal((await store.clientSessions.find('session'))?.generation, 1)
  },

  'of fifty concurrent revocations of a session, one returns true, and its time and reason are stored':
    async (t, store) => {
      await insertOwners(store)
      await store.clientSessions.insert(session())
      t.same(await winners(50, (i) => store.clientSessions.revoke('session', 1100 + i, `r${i}`)), {
        won: 1,
        lost: 49,
      })
      const ended = await store.clientSessions.find('session')
      t.equal(
        ended?.revokedReason,
        `r${(ended?.revokedAt ?? 0) - 1100}`,
        'the stored time and reason are those of the winner',
      )
      t.equal(await store.clientSessions.revoke('nobody', 1100, 'x'), false)
    },

  'revokeMatching revokes all matching sessions and returns the ids of those that were not revoked before':
    async (t, store) => {
      await insertOwners(store)
      await store.clientSessions.insert(session({ id: 'a1' }))
      await store.clientSessions.insert(session({ id: 'a2', clientId: 'phone' }))
      await store.clientSessions.insert(session({ id: 'b1', userId: 'bob' }))
      await store.clientSessions.insert(session({ id: 'dead', revokedAt: 1, revokedReason: 'before' }))

      const ended = await store.clientSessions.revokeMatching(
        { userId: 'alice', clientId: 'machine' },
        1100,
        'gone',
      )
      t.same(ended, ['a1'])
      t.match(await store.clientSessions.find('a1'), { revokedAt: 1100, revokedReason: 'gone' })
      t.match(await store.clientSessions.find('dead'), { revokedAt: 1, revokedReason: 'before' })

      t.same(await store.clientSessions.revokeMatching({ userId: 'alice' }, 1200, 'x'), ['a2'])
      t.same(await store.clientSessions.revokeMatching({ id: 'b1' }, 1200, 'x'), ['b1'])
      t.same(await store.clientSessions.revokeMatching({ clientId: 'machine' }, 1300, 'x'), [])
    },

  'concurrent calls of revokeMatching return each session once': async (t, store, database) => {
    await insertOwners(store)
    const other = await database.connect()
    const ids = Array.from({ length: 20 }, (_, i) => `s${i}`)
    for (const id of ids) await store.clientSessions.insert(session({ id }))
    const fresh = session({ id: 'fresh' })
    const [single, , ...lists] = await Promise.all([
      store.clientSessions.revoke('s0', 1100, 'one'),
      other.clientSessions.insert(fresh),
      ...Array.from({ length: 10 }, (_, i) =>
        (i % 2 ? store : other).clientSessions.revokeMatching({ userId: 'alice' }, 1100, 'all'),
      ),
    ])
    const returnedIds = [...(single ? ['s0'] : []), ...lists.flat()]
    t.equal(new Set(returnedIds).size, returnedIds.length, 'no id is returned twice')
    const revoked = (await store.clientSessions.list({}, 100)).filter((one) => one.revokedAt !== null)
    t.same(new Set(returnedIds), new Set(revoked.map((one) => one.id)), 'every revoked session was returned')
    for (const id of ids) t.ok(returnedIds.includes(id))
  },

  'ending a session puts its client into the logout outbox once, if it wants logout tokens': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    const notified = { backchannelLogout: true, userId: 'bob' }
    await store.clientSessions.insert(session({ ...notified, id: 'one' }))
    await store.clientSessions.insert(session({ ...notified, id: 'two', clientId: 'phone' }))
    await store.clientSessions.insert(
      session({ ...notified, id: 'dead', revokedAt: 1, revokedReason: 'before' }),
    )
    await store.clientSessions.insert(session({ id: 'mute', userId: 'bob' }))
    t.same(await store.logoutOutbox.due(9999, 10), [])

    const notice = { userId: 'bob', attempts: 0 }
    const first = { ...notice, clientSessionId: 'one', clientId: 'machine', dueAt: 1100 }
    t.same(await winners(50, () => store.clientSessions.revoke('one', 1100, 'x')), { won: 1, lost: 49 })
    await store.clientSessions.revoke('mute', 1100, 'x')
    await store.clientSessions.revoke('dead', 1100, 'x')
    t.same(await store.logoutOutbox.due(9999, 10), [first])

    await store.clientSessions.revokeMatching({ userId: 'bob' }, 1200, 'x')
    const second = { ...notice, clientSessionId: 'two', clientId: 'phone', dueAt: 1200 }
    t.same(await store.logoutOutbox.due(9999, 10), [first, second])

    await store.logoutOutbox.delete('one')
    t.equal(await store.clientSessions.revoke('one', 1300, 'x'), false)
    t.same(await store.clientSessions.revokeMatching({ userId: 'bob' }, 1300, 'x'), [])
    t.same(
      await store.logoutOutbox.due(9999, 10),
      [second],
      'a session that had ended causes no further notification',
    )
  },

  'sessions can be listed and revoked by user session': async (t, store) => {
    await insertOwners(store)
    await store.clientSessions.insert(session({ id: 'here', userSessionId: 'browser' }))
    await store.clientSessions.insert(
      session({ id: 'phone', userSessionId: 'browser', clientId: 'phone', createdAt: 1 }),
    )
    await store.clientSessions.insert(session({ id: 'there', userSessionId: 'other' }))
    await store.clientSessions.insert(session({ id: 'nowhere' }))
    const found = await store.clientSessions.list({ userSessionId: 'browser' }, 10)
    t.same(
      found.map((one) => one.id),
      ['here', 'phone'],
    )
    const filter = { userSessionId: 'browser', clientId: 'phone' }
    t.same(await store.clientSessions.revokeMatching(filter, 1100, 'x'), ['phone'])
    t.same(await store.clientSessions.revokeMatching({ userSessionId: 'browser' }, 1100, 'x'), ['here'])
    for (const id of ['there', 'nowhere']) t.equal((await store.clientSessions.find(id))?.revokedAt, null, id)
  },

  'list returns at most the requested number of matching sessions, newest first': async (t, store) => {
    await insertOwners(store)
    await store.clientSessions.insert(session({ id: 's1', createdAt: 1 }))
    await store.clientSessions.insert(session({ id: 's2', createdAt: 2, clientId: 'phone' }))
    await store.clientSessions.insert(session({ id: 's3', createdAt: 3, userId: 'bob' }))
    const ids = async (...args: Parameters<typeof store.clientSessions.list>) =>
      (await store.clientSessions.list(...args)).map((one) => one.id)
    t.same(await ids({}, 10), ['s3', 's2', 's1'])
    t.same(await ids({}, 2), ['s3', 's2'])
    t.same(await ids({ userId: 'alice' }, 10), ['s2', 's1'])
    t.same(await ids({ userId: 'alice', clientId: 'phone' }, 10), ['s2'])
    t.same(await ids({ id: 's3' }, 10), ['s3'])
    t.same(await ids({ userId: 'bob', clientId: 'phone' }, 10), [])
  },

  'prune deletes at most the given number of ended sessions and returns how many (docs/security.md Q20)':
    async (t, store) => {
      await insertOwners(store)
      for (let i = 1; i <= 5; i += 1)
        await store.clientSessions.insert(session({ id: `s${i}`, idleExpiresAt: i }))
      t.equal(await store.clientSessions.prune(4, 2), 2)
      t.equal(await store.clientSessions.prune(4, 2), 1)
      t.equal(await store.clientSessions.prune(4, 2), 0)
      t.same(
        (await store.clientSessions.list({}, 10)).map((one) => one.id).sort(),
        ['s4', 's5'],
        'a session that ends exactly at the limit is kept',
      )
    },
}
