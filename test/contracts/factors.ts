import { MAX_PASSKEYS, type Passkey } from '../../src/store/contracts/factors.ts'
import type { Store } from '../../src/store/index.ts'
import { user } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'

const NOTHING = { totp: false, passkeys: 0, recoveryCodes: 0 }

async function insertUsers({ users }: Store): Promise<{ alice: string; bob: string }> {
  const [alice, bob] = [await user({ roles: [] }), await user({ username: 'bob', roles: [] })]
  await users.insert(alice)
  await users.insert(bob)
  return { alice: alice.id, bob: bob.id }
}

const totp = (userId: string, encryptedSecret = 'v1.1.secret') => ({
  userId,
  encryptedSecret,
  dataKey: 1,
  lastStep: 10,
  createdAt: 5,
})

const passkey = (userId: string, overrides: Partial<Passkey> = {}): Passkey => ({
  id: 'credential',
  userId,
  publicKey: 'cose',
  counter: 3,
  transports: ['internal', 'hybrid'],
  name: 'My phone',
  backedUp: true,
  createdAt: 7,
  lastUsedAt: null,
  ...overrides,
})

const codes = (prefix: string) => Array.from({ length: 10 }, (_, i) => `${prefix}${i}`)

export const factorsContract: Contract = {
  'findTotp returns the secret as it was added, and a user has at most one': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    t.equal(await store.factors.findTotp(alice), null)
    t.same(await winners(50, (i) => store.factors.addTotp(totp(alice, `s${i}`))), { won: 1, lost: 49 })
    t.match(await store.factors.findTotp(alice), { userId: alice, lastStep: 10, createdAt: 5 })
    t.equal(await store.factors.findTotp(bob), null)
    t.equal(await store.factors.addTotp(totp('u_x')), false, 'a deleted user')
  },

  'of fifty concurrent uses of a time step on two connections exactly one succeeds (RFC 6238 §5.2; docs/security.md P6)':
    async (t, store, database) => {
      const { alice } = await insertUsers(store)
      await store.factors.addTotp(totp(alice))
      const other = await database.connect()
      const consumeStep = (step: number) => (i: number) =>
        (i % 2 ? store : other).factors.consumeTotpStep(alice, 'v1.1.secret', step)
      t.same(await winners(50, consumeStep(11)), { won: 1, lost: 49 })
      t.same(await winners(2, consumeStep(13)), { won: 1, lost: 1 })
      t.same(await winners(2, consumeStep(12)), { won: 0, lost: 2 }, 'using a step uses up all older ones')
      t.equal((await store.factors.findTotp(alice))?.lastStep, 13)
    },

  'secrets under older data keys are listed, and exactly one of fifty concurrent calls re-encrypts one':
    async (t, store, database) => {
      const { alice, bob } = await insertUsers(store)
      await store.factors.addTotp(totp(alice, 'old a'))
      await store.factors.addTotp({ ...totp(bob, 'old b'), dataKey: 2 })
      t.same(await store.factors.listTotpBefore(1, 9), [])
      t.same(await store.factors.listTotpBefore(3, 1), [{ userId: alice, encryptedSecret: 'old a' }])
      t.equal((await store.factors.listTotpBefore(3, 9)).length, 2)
      const other = await database.connect()
      const reencrypt = (i: number) =>
        (i % 2 ? store : other).factors.reencryptTotp(alice, 'old a', `new ${i}`, 3)
      t.same(await winners(50, reencrypt), { won: 1, lost: 49 })
      t.match(await store.factors.findTotp(alice), { encryptedSecret: /^new /, dataKey: 3, lastStep: 10 })
      t.match(await store.factors.findTotp(bob), { encryptedSecret: 'old b', dataKey: 2 })
      t.same(await store.factors.listTotpBefore(3, 9), [{ userId: bob, encryptedSecret: 'old b' }])
    },

  'a time step of a replaced secret is not consumed': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    await store.factors.addTotp(totp(alice))
    t.equal(await store.factors.consumeTotpStep(alice, 'v1.other', 11), false)
    t.equal(await store.factors.consumeTotpStep(bob, 'v1.1.secret', 11), false)
    t.equal((await store.factors.findTotp(alice))?.lastStep, 10)
  },

  'a passkey is found with every member, and passkeys are listed oldest first': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    const [old, young] = [
      passkey(alice, { id: 'old' }),
      passkey(alice, { id: 'a', createdAt: 8, transports: [] }),
    ]
    t.equal(await store.factors.addPasskey(young), true)
    t.equal(await store.factors.addPasskey(old), true)
    t.same(await store.factors.listPasskeys(alice), [old, young])
    t.same(await store.factors.findPasskey('old'), old)
    t.equal(await store.factors.findPasskey('nothing'), null)
    t.same(await store.factors.listPasskeys(bob), [])
  },

  'a credential id can be added once for all users, and not for a user who does not exist': async (
    t,
    store,
  ) => {
    const { alice, bob } = await insertUsers(store)
    const add = (i: number) => store.factors.addPasskey(passkey(i % 2 ? alice : bob))
    t.same(await winners(50, add), { won: 1, lost: 49 })
    t.equal(await store.factors.addPasskey(passkey('u_x', { id: 'other' })), false)
  },

  'of fifty passkeys added concurrently on two connections, a user gets twenty (RFC 7523 §3; docs/security.md P6)':
    async (t, store, database) => {
      const { alice, bob } = await insertUsers(store)
      const other = await database.connect()
      const add = (i: number) =>
        (i % 2 ? store : other).factors.addPasskey(passkey(alice, { id: `c${i}`, createdAt: i }))
      t.same(await winners(50, add), { won: MAX_PASSKEYS, lost: 50 - MAX_PASSKEYS })
      t.equal(await store.factors.addPasskey(passkey(bob, { id: 'bobs' })), true)
      const [first, , third] = await store.factors.listPasskeys(alice)
      await store.factors.removePasskey(alice, first?.id ?? '')
      await store.factors.removePasskey(alice, third?.id ?? '')
      t.equal(
        await store.factors.addPasskey(passkey(alice, { id: 'again' })),
        true,
        'the place of a removed passkey is free',
      )
      t.equal(await store.factors.addPasskey(passkey(alice, { id: 'once more' })), true)
      t.equal(await store.factors.addPasskey(passkey(alice, { id: 'too many' })), false)
    },

  'a use with a counter that does not grow is refused and changes nothing (WebAuthn §6.1.1)': async (
    t,
    store,
  ) => {
    const { alice, bob } = await insertUsers(store)
    await store.factors.addPasskey(passkey(alice))
    const use = (counter: number, userId = alice) =>
      store.factors.recordPasskeyUse({ id: 'credential', userId, counter, backedUp: false }, 99)
    for (const counter of [0, 2, 3]) t.equal(await use(counter), false)
    t.equal(await use(4, bob), false, 'another user’s')
    t.same(await store.factors.findPasskey('credential'), passkey(alice))
    t.same(await winners(50, () => use(4)), { won: 1, lost: 49 })
    t.match(await store.factors.findPasskey('credential'), { counter: 4, backedUp: false, lastUsedAt: 99 })
  },

  'a passkey without a counter can be used any number of times': async (t, store) => {
    const { alice } = await insertUsers(store)
    await store.factors.addPasskey(passkey(alice, { counter: 0 }))
    const use = (counter: number) =>
      store.factors.recordPasskeyUse({ id: 'credential', userId: alice, counter, backedUp: true }, 99)
    t.same(await winners(5, () => use(0)), { won: 5, lost: 0 })
    t.equal(await use(1), true)
    t.equal(await use(0), false, 'a counter that has started must grow')
  },

  'only its owner can remove a passkey, once': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    await store.factors.addPasskey(passkey(alice))
    t.equal(await store.factors.removePasskey(bob, 'credential'), false)
    t.same(await winners(50, () => store.factors.removePasskey(alice, 'credential')), { won: 1, lost: 49 })
    t.same(await store.factors.listPasskeys(alice), [])
  },

  'of fifty concurrent uses of a recovery code on two connections, one succeeds (RFC 7523 §3; docs/security.md P6)':
    async (t, store, database) => {
      const { alice, bob } = await insertUsers(store)
      t.equal(await store.factors.replaceRecoveryCodes(alice, codes('a'), 1), true)
      const other = await database.connect()
      t.equal(await store.factors.consumeRecoveryCode(bob, 'a3'), false)
      t.same(await winners(50, (i) => (i % 2 ? store : other).factors.consumeRecoveryCode(alice, 'a3')), {
        won: 1,
        lost: 49,
      })
      t.equal((await store.factors.summary(alice)).recoveryCodes, 9)
    },

  'a new set of recovery codes replaces the whole old set, even if fifty sets are made concurrently': async (
    t,
    store,
  ) => {
    const { alice } = await insertUsers(store)
    await store.factors.replaceRecoveryCodes(alice, codes('old'), 1)
    await store.factors.consumeRecoveryCode(alice, 'old0')
    t.same(await winners(50, (i) => store.factors.replaceRecoveryCodes(alice, codes(`n${i}-`), 1)), {
      won: 50,
      lost: 0,
    })
    t.equal((await store.factors.summary(alice)).recoveryCodes, 10)
    t.equal(await store.factors.consumeRecoveryCode(alice, 'old1'), false)
    const left = await winners(500, (i) =>
      store.factors.consumeRecoveryCode(alice, `n${Math.floor(i / 10)}-${i % 10}`),
    )
    t.equal(left.won, 10, 'all codes are of one set')
    t.equal(await store.factors.replaceRecoveryCodes('u_x', codes('a'), 1), false)
  },

  'the summary counts the factors of a user, and none for an unknown user': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    t.same(await store.factors.summary('u_x'), NOTHING)
    t.same(await store.factors.summary(alice), NOTHING)
    await store.factors.addTotp(totp(alice))
    await store.factors.addPasskey(passkey(alice))
    await store.factors.addPasskey(passkey(alice, { id: 'b' }))
    await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
    t.same(await store.factors.summary(alice), { totp: true, passkeys: 2, recoveryCodes: 10 })
    t.same(await store.factors.summary(bob), NOTHING)
  },

  'recovery codes are deleted with the last factor, and not before': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    await store.factors.replaceRecoveryCodes(bob, codes('b'), 1)
    await store.factors.addTotp(totp(alice))
    await store.factors.addPasskey(passkey(alice))
    await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
    t.same(await winners(2, () => store.factors.removeTotp(alice)), { won: 1, lost: 1 })
    t.same(await store.factors.summary(alice), { totp: false, passkeys: 1, recoveryCodes: 10 })
    await store.factors.removePasskey(alice, 'credential')
    t.same(await store.factors.summary(alice), NOTHING)

    await store.factors.addTotp(totp(alice))
    await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
    await store.factors.removeTotp(alice)
    t.same(await store.factors.summary(alice), NOTHING)
    t.equal((await store.factors.summary(bob)).recoveryCodes, 10, 'no other user is affected')

    await store.factors.addTotp(totp(alice))
    await store.factors.addPasskey(passkey(alice))
    await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
    await store.factors.removePasskey(alice, 'credential')
    t.same(await store.factors.summary(alice), { totp: true, passkeys: 0, recoveryCodes: 10 })
  },

  'if two factors are removed concurrently, the recovery codes are deleted with the last one (RFC 7523 §3; docs/security.md P6)':
    async (t, store, database) => {
      const { alice } = await insertUsers(store)
      const other = (await database.connect()).factors
      for (let round = 0; round < 20; round += 1) {
        await store.factors.addTotp(totp(alice))
        await store.factors.addPasskey(passkey(alice))
        await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
        const removed = [store.factors.removeTotp(alice), other.removePasskey(alice, 'credential')]
        t.same(await Promise.all(removed), [true, true])
        t.same(await store.factors.summary(alice), NOTHING)
      }
    },

  'reset deletes all factors of one user and returns whether there were any': async (t, store) => {
    const { alice, bob } = await insertUsers(store)
    for (const id of [alice, bob]) {
      await store.factors.addTotp(totp(id))
      await store.factors.addPasskey(passkey(id, { id: `of ${id}` }))
      await store.factors.replaceRecoveryCodes(id, codes(id), 1)
    }
    t.equal(await store.factors.reset(alice), true)
    t.equal(await store.factors.reset(alice), false)
    t.same(await store.factors.summary(alice), NOTHING)
    t.same(await store.factors.summary(bob), { totp: true, passkeys: 1, recoveryCodes: 10 })
  },

  'deleting a user deletes all factors of the user': async (t, store) => {
    const { alice } = await insertUsers(store)
    await store.factors.addTotp(totp(alice))
    await store.factors.addPasskey(passkey(alice))
    await store.factors.replaceRecoveryCodes(alice, codes('a'), 1)
    await store.db.batch([{ sql: 'DELETE FROM users WHERE id = $1', params: [alice] }])
    t.same(await store.factors.summary(alice), NOTHING)
    t.equal(await store.factors.findPasskey('credential'), null)
  },
}
