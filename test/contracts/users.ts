import type { OneTimeLink } from '../../src/store/contracts/one-time-links.ts'
import type { User } from '../../src/store/contracts/users.ts'
import type { Store } from '../../src/store/index.ts'
import { user } from '../support/server/seed.ts'
import { auditRow } from './audit.ts'
import { insertOwners, session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'
import { updateContract } from './update.ts'
import { signIn } from './user-sessions.ts'

const LINK: Omit<OneTimeLink, 'userId' | 'hash'> = { purpose: 'reset', createdAt: 1, expiresAt: 9e9 }

const clerk = { name: 'clerk', scopes: ['orders:read'], requireSecondFactor: false, createdAt: 1 }
const boss = { name: 'boss', scopes: [], requireSecondFactor: false, createdAt: 1 }

export const usersContract: Contract = {
  'a user is found by id and by username, with every member': async (t, { users, roles }) => {
    await roles.insert(clerk)
    await roles.insert(boss)
    const alice = await user({
      ...{ email: 'alice@test', emailVerified: true, name: 'Alice “A.” Ångström' },
      ...{ givenName: 'Alice', familyName: 'Ångström', locale: 'sv-SE', zoneinfo: 'Europe/Stockholm' },
      ...{ roles: ['boss', 'clerk'], disabled: true, createdAt: 5, updatedAt: 7 },
    })
    const bob = await user({ username: 'bob', roles: [], createdAt: 4 })
    t.equal(await users.insert(alice), true)
    t.equal(await users.insert(bob), true)
    t.same(await users.find(alice.id), alice)
    t.same(await users.findByUsername('alice'), alice)
    t.same(await users.findByUsername('bob'), bob)
    t.same(await users.page(null, 1000), [bob, alice])
  },

  'find returns null for an unknown id or username': async (t, { users }) => {
    t.equal(await users.find('u_x'), null)
    t.equal(await users.findByUsername('alice'), null)
    t.same(await users.page(null, 1000), [])
  },

  'page returns users part by part, oldest first': async (t, { users, roles }) => {
    await roles.insert(clerk)
    for (const [name, createdAt] of [
      ['c', 5],
      ['a', 7],
      ['b', 7],
      ['d', 3],
    ] as const)
      await users.insert(await user({ id: `u_${name}`, username: name, roles: ['clerk'], createdAt }))
    const first = await users.page(null, 2)
    t.same(
      first.map(({ username }) => username),
      ['d', 'c'],
    )
    t.same(await users.page(first[1] ?? null, 9), (await users.page(null, 1000)).slice(2))
    t.same(await users.page({ createdAt: 7, id: 'u_b' }, 9), [])
  },

  'withRole counts the users who have the role, and names the oldest': async (t, { users, roles }) => {
    await roles.insert(clerk)
    t.same(await users.withRole('clerk', 2), { count: 0, usernames: [] })
    for (const [name, createdAt] of [
      ['c', 5],
      ['a', 7],
      ['b', 3],
    ] as const)
      await users.insert(await user({ id: name, username: name, roles: ['clerk'], createdAt }))
    await users.insert(await user({ id: 'd', username: 'd', roles: [], createdAt: 1 }))
    await users.setDisabled('b', true)
    t.same(await users.withRole('clerk', 2), { count: 3, usernames: ['b', 'c'] })
    t.same(await users.withRole('nothing', 2), { count: 0, usernames: [] })
  },

  'idsWithRole returns the enabled users who have the role': async (t, { users, roles }) => {
    await roles.insert(clerk)
    for (const name of ['a', 'b', 'c'])
      await users.insert(await user({ id: name, username: name, roles: name === 'c' ? [] : ['clerk'] }))
    await users.setDisabled('b', true)
    t.same(await users.idsWithRole('clerk'), ['a'])
    t.same(await users.idsWithRole('nothing'), [])
  },

  'insert returns false and changes nothing if the username is taken': async (t, { users, roles }) => {
    await roles.insert(clerk)
    const first = await user()
    await users.insert(first)
    t.equal(await users.insert(await user()), false)
    t.same(await users.page(null, 1000), [first])
  },

  'insert returns false and changes nothing if a role does not exist': async (t, { users, roles }) => {
    await roles.insert(clerk)
    t.equal(await users.insert(await user({ roles: ['clerk', 'nothing'] })), false)
    t.same(await users.page(null, 1000), [])
  },

  'of fifty concurrent inserts with one username, one succeeds': async (t, { users }) => {
    const fifty = await Promise.all(Array.from({ length: 50 }, () => user({ roles: [] })))
    t.same(await winners(50, (i) => users.insert(fifty[i] as never)), { won: 1, lost: 49 })
    t.equal((await users.page(null, 1000)).length, 1)
  },

  'setPasswordHash replaces the hash, and returns false if there is no such user': async (t, { users }) => {
    const alice = await user({ roles: [] })
    await users.insert(alice)
    t.equal(await users.setPasswordHash(alice.id, 'new'), true)
    t.equal((await users.find(alice.id))?.passwordHash, 'new')
    t.equal(await users.setPasswordHash('u_x', 'new'), false)
  },

  'setPasswordHash with the hash that was read does not overwrite a newer password': async (t, { users }) => {
    const alice = await user({ roles: [] })
    await users.insert(alice)
    t.equal(await users.setPasswordHash(alice.id, 'rehashed', 'another'), false)
    t.equal((await users.find(alice.id))?.passwordHash, alice.passwordHash)
    t.same(await winners(50, (i) => users.setPasswordHash(alice.id, `hash${i}`, alice.passwordHash)), {
      won: 1,
      lost: 49,
    })
  },

  'update changes profile and roles, and nothing of another user': async (t, { users, roles }) => {
    await roles.insert(clerk)
    await roles.insert(boss)
    const alice = await user({ email: 'old@test' })
    const bob = await user({ username: 'bob' })
    await users.insert(alice)
    await users.insert(bob)
    const more = { givenName: 'Al', familyName: 'Ice', locale: 'en', zoneinfo: 'UTC' }
    const profile = { email: 'new@test', emailVerified: true, name: 'Alice', ...more, updatedAt: 50 }
    await users.update(alice.id, (one) => ({ ...one, ...profile, roles: ['clerk', 'boss', 'clerk'] }))
    t.same(await users.find(alice.id), { ...alice, ...profile, roles: ['boss', 'clerk'], revision: 2 })
    const none = { givenName: null, familyName: null, locale: null, zoneinfo: null }
    const nothing = { email: null, emailVerified: false, name: null, ...none, updatedAt: 60, roles: [] }
    await users.update(alice.id, (one) => ({ ...one, ...nothing }))
    t.same(await users.findByUsername('alice'), { ...alice, ...nothing, revision: 3 })
    t.same(await users.find(bob.id), bob)
  },

  'of two users who lose a role at the same moment, one keeps it if someone must have it': async (
    t,
    store,
    database,
  ) => {
    const other = await database.connect()
    await store.roles.insert(boss)
    const ids: string[] = []
    for (const username of ['a', 'b']) {
      const one = await user({ username, roles: ['boss'] })
      await store.users.insert(one)
      ids.push(one.id)
    }
    for (const lose of [
      (one: User) => ({ ...one, roles: [] }),
      (one: User) => ({ ...one, disabled: true }),
    ]) {
      for (const id of ids)
        await store.users.update(id, (one) => ({ ...one, roles: ['boss'], disabled: false }))
      const demote = ({ users }: Pick<Store, 'users'>, id: string) =>
        users.update(
          id,
          async (one) => {
            if ((await users.idsWithRole('boss')).every((each) => each === id))
              throw new Error('the last one')
            return lose(one)
          },
          'boss',
        )
      const outcomes = await Promise.allSettled([demote(store, ids[0] ?? ''), demote(other, ids[1] ?? '')])
      t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
      t.equal((await store.users.idsWithRole('boss')).length, 1)
    }
  },

  'update reports a conflict and changes nothing if a role does not exist': async (t, { users, roles }) => {
    await roles.insert(clerk)
    const alice = await user()
    await users.insert(alice)
    const outcome = await users.update(alice.id, (one) => ({ ...one, name: 'A', roles: ['nothing'] }))
    t.same(outcome, { updated: false, reason: 'conflict' })
    t.same(await users.find(alice.id), alice)
  },

  'update changes the username, and reports a conflict if it is taken': async (t, { users }) => {
    const alice = await user({ roles: [] })
    const bob = await user({ username: 'bob', roles: [] })
    await users.insert(alice)
    await users.insert(bob)
    t.match(await users.update(alice.id, (one) => ({ ...one, username: 'alicia' })), { updated: true })
    t.same(await users.findByUsername('alicia'), { ...alice, username: 'alicia', revision: 2 })
    t.equal(await users.findByUsername('alice'), null)
    const taken = await users.update(alice.id, (one) => ({ ...one, username: 'bob', name: 'A' }))
    t.same(taken, { updated: false, reason: 'conflict' })
    t.same(await users.findByUsername('bob'), bob)
    t.equal((await users.find(alice.id))?.name, null)
  },

  'a user without a password is stored, and one of fifty first passwords wins': async (t, { users }) => {
    const alice = await user({ roles: [], passwordHash: null })
    await users.insert(alice)
    t.same(await users.find(alice.id), alice)
    t.equal(await users.setPasswordHash(alice.id, 'new', 'another'), false)
    t.same(await winners(50, (i) => users.setPasswordHash(alice.id, `hash${i}`, null)), { won: 1, lost: 49 })
  },

  ...updateContract<User>({
    rows: ({ users }) => users,
    insert: async ({ users }) => {
      const alice = await user({ roles: [] })
      await users.insert(alice)
      return alice.id
    },
    changes: [{ name: 'Alice' }, { email: 'a@test', disabled: true }],
    add: (row, number) => ({ ...row, name: `${row.name ?? ''}${String.fromCharCode(65 + number)}` }),
    added: ({ name }) => name?.length ?? 0,
    kept: { id: 'u_x', passwordHash: 'other' },
  }),

  'an update that was overtaken by any other verb keeps what the verb has changed (docs/security.md R1)':
    async (t, store, database) => {
      const { users, roles } = await database.connect()
      for (const role of [clerk, boss]) await store.roles.insert(role)
      const alice = await user({ roles: ['clerk'] })
      await store.users.insert(alice)
      const { id } = alice
      const verbs: [() => Promise<boolean>, Partial<User>][] = [
        [() => users.setDisabled(id, true), { disabled: true }],
        [() => users.setPasswordHash(id, 'new'), { passwordHash: 'new' }],
        [() => users.addRole(id, 'boss'), { roles: ['boss', 'clerk'] }],
        [() => users.removeRole(id, 'clerk'), { roles: ['boss'] }],
        [() => roles.delete('boss'), { roles: [] }],
      ]
      for (const [i, [verb, change]] of verbs.entries()) {
        let overtaken = false
        const name = `Alice ${i}`
        await store.users.update(id, async (current) => {
          if (!overtaken) t.equal(await verb(), true)
          overtaken = true
          return { ...current, name }
        })
        t.match(await users.find(id), { ...change, name, revision: 3 + 2 * i })
      }
    },

  'setDisabled disables and enables a user, and returns false if there is no such user': async (
    t,
    { users },
  ) => {
    const alice = await user({ roles: [] })
    await users.insert(alice)
    t.equal(await users.setDisabled(alice.id, true), true)
    t.equal((await users.find(alice.id))?.disabled, true)
    t.equal(await users.setDisabled(alice.id, false), true)
    t.equal((await users.findByUsername('alice'))?.disabled, false)
    t.equal(await users.setDisabled('u_x', true), false)
  },

  'delete deletes a disabled user and everything of the user, and of no other': async (t, store) => {
    await insertOwners(store)
    const { users, auditRows } = store
    const now = 1000
    for (const id of ['alice', 'bob']) {
      await store.userSessions.insert(signIn({ id: `browser of ${id}`, userId: id }), `secret of ${id}`)
      await store.clientSessions.insert(session({ id: `session of ${id}`, userId: id }))
      await store.consents.add({ userId: id, clientId: 'machine', audience: 'x', scopes: [], grantedAt: 1 })
      await store.oneTimeLinks.replace({ ...LINK, userId: id, hash: `link of ${id}` })
      await store.factors.replaceRecoveryCodes(id, ['hash'], 1)
    }
    const head = (await auditRows.state()).head
    if (!head) return
    const values = { ip: 'salt.ip', target: 'salt.name' }
    const rows = [
      auditRow(1, { ...values, actor: 'operator:root', sub: 'alice' }),
      auditRow(2, { ...values, actor: 'user:bob', sub: 'alice' }),
      auditRow(3, { ...values, actor: 'user:alice', sub: 'bob' }),
      auditRow(4, { ...values, sub: 'bob' }),
    ]
    await auditRows.append(head, rows, { ...head, seq: 4 })
    t.equal(await users.delete('x'), false)
    t.equal(await users.delete('alice'), false, 'she is not disabled')
    await users.setDisabled('alice', true)
    t.equal(await users.delete('alice'), false, 'her session is not revoked')
    t.not((await auditRows.page(0, 1))[0]?.ip, null, 'nothing was erased')
    t.equal((await store.clientSessions.find('session of alice'))?.revokedAt, null)
    await store.clientSessions.revokeMatching({ userId: 'alice' }, now, 'test')
    t.same(await winners(10, () => users.delete('alice')), { won: 1, lost: 9 })
    t.equal(await users.find('alice'), null)
    for (const table of [
      'user_sessions',
      'client_sessions',
      'consents',
      'one_time_links',
      'recovery_codes',
    ]) {
      const rows = await store.db.query<{ user_id: string }>(`SELECT user_id FROM ${table}`)
      t.same([...new Set(rows.map((row) => row.user_id))], ['bob'], table)
    }
    t.same(
      (await auditRows.page(0, 9)).map(({ ip, target }) => [ip !== null, target !== null]),
      [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ],
    )
  },

  'of a deletion and rows that another node writes about the user, none leaves a value behind': async (
    t,
    store,
    database,
  ) => {
    await insertOwners(store)
    const other = await database.connect()
    await store.users.setDisabled('alice', true)
    const values = { ip: 'salt.ip', target: 'salt.name', sub: 'alice' }
    const write = async () => {
      for (let seq = 1; seq <= 20; ) {
        const { head } = await other.auditRows.state()
        if (head && (await other.auditRows.append(head, [auditRow(seq, values)], { ...head, seq }))) seq += 1
      }
    }
    const [, deleted] = await Promise.all([write(), store.users.delete('alice')])
    t.equal(deleted, true)
    const rows = await store.auditRows.page(0, 99)
    t.equal(rows.length, 20)
    t.ok(rows.every(({ ip, target }) => ip === null && target === null))
  },

  'addRole returns false for an unknown user, an unknown role, or a role that the user has': async (
    t,
    { users, roles },
  ) => {
    await roles.insert(clerk)
    const alice = await user({ roles: [] })
    await users.insert(alice)
    t.equal(await users.addRole('u_x', 'clerk'), false)
    t.equal(await users.addRole(alice.id, 'nothing'), false)
    t.same(await winners(50, () => users.addRole(alice.id, 'clerk')), { won: 1, lost: 49 })
    t.same((await users.find(alice.id))?.roles, ['clerk'])
  },

  'removeRole removes one role, once': async (t, { users, roles }) => {
    await roles.insert(clerk)
    await roles.insert(boss)
    const alice = await user({ roles: ['boss', 'clerk'] })
    await users.insert(alice)
    t.same(await winners(50, () => users.removeRole(alice.id, 'clerk')), { won: 1, lost: 49 })
    t.same((await users.find(alice.id))?.roles, ['boss'])
  },
}
