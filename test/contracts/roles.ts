import type { Role } from '../../src/store/contracts/roles.ts'
import { user } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'
import { updateContract } from './update.ts'

const role = (overrides: Partial<Role> = {}): Role => ({
  name: 'clerk',
  scopes: ['orders:write', 'orders:read'],
  requireSecondFactor: false,
  createdAt: 1,
  revision: 1,
  ...overrides,
})

export const rolesContract: Contract = {
  'find returns every member of an inserted role, and list is sorted by name': async (t, { roles }) => {
    const none = role({ name: 'nothing', scopes: [] })
    t.same(await roles.list(), [])
    const strict = role({ name: 'strict', requireSecondFactor: true, createdAt: 2 })
    t.equal(await roles.insert(none), true)
    t.equal(await roles.insert(strict), true)
    t.equal(await roles.insert(role()), true)
    t.same(await roles.find('clerk'), role())
    t.same(await roles.find('strict'), strict)
    t.equal(await roles.find('Clerk'), null)
    t.same(await roles.list(), [role(), none, strict])
  },

  'page returns roles in the order of list, part by part': async (t, { roles }) => {
    for (const name of ['d', 'ä', 'a', 'B', 'c']) await roles.insert(role({ name }))
    const all = await roles.list()
    t.same(await roles.page(null, 2), all.slice(0, 2))
    t.same(await roles.page(all[1] ?? null, 2), all.slice(2, 4))
    t.same(await roles.page(all[3] ?? null, 9), all.slice(4))
    t.same(await roles.page(all[4] ?? null, 9), [])
  },

  'insert returns false and changes nothing if the name is taken': async (t, { roles }) => {
    await roles.insert(role())
    t.same(await winners(50, () => roles.insert(role({ scopes: ['all'] }))), { won: 0, lost: 50 })
    t.same(await roles.list(), [role()])
  },

  'of fifty concurrent inserts with one name, one succeeds': async (t, { roles }) => {
    t.same(await winners(50, (i) => roles.insert(role({ scopes: [`s${i}`] }))), { won: 1, lost: 49 })
  },

  'update turns the second factor of a role on and off': async (t, { roles }) => {
    await roles.insert(role())
    for (const [i, requireSecondFactor] of [true, false].entries()) {
      t.match(await roles.update('clerk', () => role({ requireSecondFactor })), { updated: true })
      t.same(await roles.find('clerk'), role({ requireSecondFactor, revision: i + 2 }))
    }
  },

  'update changes the scopes of a role': async (t, { roles }) => {
    await roles.insert(role())
    t.match(await roles.update('clerk', () => role({ scopes: ['new'] })), { updated: true })
    t.same(await roles.find('clerk'), role({ scopes: ['new'], revision: 2 }))
  },

  ...updateContract<Role>({
    rows: ({ roles }) => roles,
    insert: async ({ roles }) => {
      await roles.insert(role())
      return 'clerk'
    },
    changes: [{ scopes: ['orders:read'] }, { requireSecondFactor: true }],
    add: (row, number) => ({ ...row, scopes: [...row.scopes, `s${number}`] }),
    added: ({ scopes }) => scopes.length,
    kept: { name: 'boss' },
  }),

  'delete removes the role from all users, and returns false if there is no such role': async (t, store) => {
    await store.roles.insert(role())
    await store.roles.insert(role({ name: 'boss' }))
    const alice = await user({ roles: ['boss', 'clerk'] })
    const bob = await user({ username: 'bob', roles: ['clerk'] })
    await store.users.insert(alice)
    await store.users.insert(bob)

    t.equal(await store.roles.delete('clerk'), true)
    t.same((await store.users.find(alice.id))?.roles, ['boss'])
    t.match(
      await store.users.find(bob.id),
      { roles: [], revision: 2 },
      'the user still exists, with a new revision',
    )
    t.equal(await store.roles.delete('clerk'), false)
  },
}
