import { type Contract, winners } from './contract.ts'

export const revokedTokensContract: Contract = {
  'has is true for a revoked token and for no other': async (t, { revokedTokens }) => {
    await revokedTokens.add('jti', 100)
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.has('JTI'), false)
    t.equal(await revokedTokens.has(''), false)
  },

  'a token can be revoked repeatedly, also fifty times concurrently': async (t, { revokedTokens }) => {
    const { won, lost } = await winners(50, () => revokedTokens.add('jti', 100))
    t.same([won, lost], [1, 49], 'and only the first call changes something')
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.prune(101, 10), 1)
  },

  'add revokes the status index in the same batch, and repeating it changes no revision': async (
    t,
    store,
  ) => {
    const { revokedTokens, status, revisions } = store
    t.equal(await revokedTokens.add('jti', 100, { list: 1, idx: 7 }), true)
    t.same((await status.changesSince(0, 0)).entries, [{ list: 1, idx: 7 }])
    const before = await revisions.read()
    t.equal(await revokedTokens.add('jti', 100, { list: 1, idx: 7 }), false)
    t.equal(await status.revoke({ list: 1, idx: 7 }, 100), false)
    await status.revokeClient('machine')
    t.same(await revisions.read(), before)
  },

  'a revocation survives a restart': async (t, store, database) => {
    await store.revokedTokens.add('jti', 100)
    await store.db.close()
    t.equal(await (await database.connect()).revokedTokens.has('jti'), true)
  },

  'prune deletes the revocations of expired tokens': async (t, { revokedTokens }) => {
    for (let i = 1; i <= 5; i += 1) await revokedTokens.add(`jti${i}`, i)
    t.equal(await revokedTokens.prune(4, 2), 2)
    t.equal(await revokedTokens.prune(4, 2), 1)
    t.equal(await revokedTokens.prune(4, 2), 0)
    t.equal(await revokedTokens.has('jti3'), false)
    t.equal(await revokedTokens.has('jti4'), true)
  },
}
