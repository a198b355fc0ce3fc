import type { OneTimeLink } from '../../src/store/contracts/one-time-links.ts'
import type { Store } from '../../src/store/index.ts'
import { user } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'

const NOW = 1000

const link = (overrides: Partial<OneTimeLink> = {}): OneTimeLink => ({
  userId: 'alice',
  purpose: 'reset',
  hash: 'hash',
  createdAt: NOW,
  expiresAt: NOW + 3600,
  ...overrides,
})

async function insertUsers({ users }: Store): Promise<void> {
  await users.insert(await user({ id: 'alice', roles: [] }))
  await users.insert(await user({ id: 'bob', username: 'bob', roles: [] }))
}

const passwordOf = async ({ users }: Store, id = 'alice') => (await users.find(id))?.passwordHash

export const oneTimeLinksContract: Contract = {
  'a link is found by its hash, for its purpose alone, until it expires': async (t, store) => {
    await insertUsers(store)
    const links = store.oneTimeLinks
    t.equal(await links.replace(link()), true)
    t.same(await links.find('hash', 'reset', NOW + 3599), link())
    t.equal(await links.find('hash', 'reset', NOW + 3600), null)
    t.equal(await links.find('hash', 'invite', NOW), null)
    t.equal(await links.find('another', 'reset', NOW), null)
  },

  'a newer link for the same purpose makes the older one void, and no other link': async (t, store) => {
    await insertUsers(store)
    const links = store.oneTimeLinks
    await links.replace(link())
    await links.replace(link({ purpose: 'invite', hash: 'invite' }))
    await links.replace(link({ userId: 'bob', hash: 'bob' }))
    t.equal(await links.replace(link({ hash: 'newer', createdAt: NOW + 1 })), true)
    t.equal(await links.find('hash', 'reset', NOW), null)
    t.equal(await links.consume(link(), NOW), false)
    t.same(await links.find('newer', 'reset', NOW), link({ hash: 'newer', createdAt: NOW + 1 }))
    t.not(await links.find('invite', 'invite', NOW), null)
    t.not(await links.find('bob', 'reset', NOW), null)
  },

  'replace returns false and stores nothing if the user does not exist or is disabled': async (t, store) => {
    await insertUsers(store)
    t.equal(await store.oneTimeLinks.replace(link({ userId: 'x' })), false)
    await store.users.setDisabled('alice', true)
    t.equal(await store.oneTimeLinks.replace(link()), false)
    t.equal(await store.oneTimeLinks.find('hash', 'reset', NOW), null)
  },

  'a role that the user is given makes all links of the user void; other changes do not': async (
    t,
    store,
  ) => {
    await insertUsers(store)
    const { users, oneTimeLinks: links } = store
    await store.roles.insert({ name: 'clerk', scopes: ['a'], requireSecondFactor: false, createdAt: NOW })
    await links.replace(link())
    await links.replace(link({ purpose: 'invite', hash: 'invite' }))
    await links.replace(link({ userId: 'bob', hash: 'bob' }))
    await users.update('alice', (alice) => ({ ...alice, name: 'Alice' }))
    t.not(await links.find('hash', 'reset', NOW), null)
    await users.update('alice', (alice) => ({ ...alice, roles: ['clerk'] }))
    t.equal(await links.find('hash', 'reset', NOW), null)
    t.equal(await links.consume(link({ purpose: 'invite', hash: 'invite' }), NOW), false)
    t.not(await links.find('bob', 'reset', NOW), null)
    await links.replace(link())
    await users.update('alice', (alice) => ({ ...alice, roles: [] }))
    t.not(await links.find('hash', 'reset', NOW), null)
    await users.addRole('alice', 'clerk')
    t.equal(await links.find('hash', 'reset', NOW), null)
  },

  'a scope that a role is given makes all links of its users void; other changes of the role do not': async (
    t,
    store,
  ) => {
    await insertUsers(store)
    const { roles, users, oneTimeLinks: links } = store
    await roles.insert({ name: 'clerk', scopes: ['a'], requireSecondFactor: false, createdAt: NOW })
    await users.addRole('alice', 'clerk')
    await links.replace(link())
    await links.replace(link({ userId: 'bob', hash: 'bob' }))
    await roles.update('clerk', (clerk) => ({ ...clerk, requireSecondFactor: true }))
    t.not(await links.find('hash', 'reset', NOW), null)
    await roles.update('clerk', (clerk) => ({ ...clerk, scopes: ['a', 'b'] }))
    t.equal(await links.find('hash', 'reset', NOW), null)
    t.not(await links.find('bob', 'reset', NOW), null)
    await links.replace(link())
    await roles.update('clerk', (clerk) => ({ ...clerk, scopes: ['b'] }))
    t.not(await links.find('hash', 'reset', NOW), null)
  },

  'of fifty concurrent uses on two connections, one consumes the link': async (t, store, database) => {
    await insertUsers(store)
    const other = await database.connect()
    const { oneTimeLinks: links } = store
    await links.replace(link())
    await links.replace(link({ purpose: 'invite', hash: 'invite' }))
    t.same(await winners(50, (i) => (i % 2 ? store : other).oneTimeLinks.consume(link(), NOW)), {
      won: 1,
      lost: 49,
    })
    t.equal(await links.find('hash', 'reset', NOW), null)
    t.not(await links.find('invite', 'invite', NOW), null, 'the other link remains')
  },

  'a link that has expired, or with another purpose, is not consumed': async (t, store) => {
    await insertUsers(store)
    await store.oneTimeLinks.replace(link())
    t.equal(await store.oneTimeLinks.consume(link(), NOW + 3600), false)
    t.equal(await store.oneTimeLinks.consume(link({ purpose: 'invite' }), NOW), false)
    t.equal(await store.oneTimeLinks.consume(link({ userId: 'bob' }), NOW), false)
    t.equal(await store.oneTimeLinks.setPassword(link({ purpose: 'invite' }), 'new', NOW), false)
    t.equal(await store.oneTimeLinks.setPassword(link(), 'new', NOW + 3600), false)
    t.not(await passwordOf(store), 'new')
    t.equal(await store.oneTimeLinks.consume(link(), NOW + 3599), true)
  },

  'of fifty concurrent passwords on two connections, the one that consumes the link is set': async (
    t,
    store,
    database,
  ) => {
    await insertUsers(store)
    const other = await database.connect()
    await store.oneTimeLinks.replace(link())
    await store.oneTimeLinks.replace(link({ purpose: 'invite', hash: 'invite' }))
    const set: number[] = []
    const outcome = await winners(50, async (i) => {
      const won = await (i % 2 ? store : other).oneTimeLinks.setPassword(link(), `hash${i}`, NOW)
      if (won) set.push(i)
      return won
    })
    t.same(outcome, { won: 1, lost: 49 })
    t.match(await store.users.find('alice'), { passwordHash: `hash${set[0]}`, revision: 2 })
    t.equal(await store.oneTimeLinks.find('invite', 'invite', NOW), null, 'other links are void too')
  },

  'whatever changes the password or disables the user makes the links void': async (t, store) => {
    await insertUsers(store)
    const { oneTimeLinks: links, users } = store
    const changes: (() => Promise<unknown>)[] = [
      () => users.setPasswordHash('alice', 'changed'),
      () => users.setDisabled('alice', true),
      () => users.update('alice', (one) => ({ ...one, disabled: true })),
    ]
    for (const change of changes) {
      await users.setDisabled('alice', false)
      await links.replace(link())
      await links.replace(link({ userId: 'bob', hash: 'bob' }))
      await change()
      await users.setDisabled('alice', false)
      t.equal(await links.find('hash', 'reset', NOW), null)
      t.equal(await links.consume(link(), NOW), false)
      t.equal(await links.setPassword(link(), 'stolen', NOW), false)
      t.not(await links.find('bob', 'reset', NOW), null, 'the link of another user remains')
    }
    await links.replace(link())
    await users.update('alice', (one) => ({ ...one, name: 'Alice' }))
    await users.setDisabled('alice', false)
    t.not(await links.find('hash', 'reset', NOW), null, 'other changes keep it')
  },

  'a link and a change of the password at the same moment: one of them is in effect, and the link is void':
    async (t, store, database) => {
      await insertUsers(store)
      const other = await database.connect()
      for (let i = 0; i < 10; i += 1) {
        await store.oneTimeLinks.replace(link())
        const [byLink] = await Promise.all([
          store.oneTimeLinks.setPassword(link(), 'link', NOW),
          other.users.setPasswordHash('alice', 'changed'),
        ])
        // The link was used before the change, or not at all.
        t.equal(await passwordOf(store), 'changed', `${byLink}`)
        t.equal(await store.oneTimeLinks.find('hash', 'reset', NOW), null)
      }
    },

  'prune deletes expired links, at most as many as asked': async (t, store) => {
    await insertUsers(store)
    const { oneTimeLinks: links } = store
    await links.replace(link({ expiresAt: 10 }))
    await links.replace(link({ purpose: 'invite', hash: 'invite', expiresAt: 11 }))
    await links.replace(link({ userId: 'bob', hash: 'bob', expiresAt: 30 }))
    t.equal(await links.prune(20, 1), 1)
    t.equal(await links.prune(20, 5), 1)
    t.equal(await links.prune(20, 5), 0)
    t.not(await links.find('bob', 'reset', 5), null)
  },
}
