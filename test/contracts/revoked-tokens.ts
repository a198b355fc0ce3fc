import type { Contract } from './contract.ts'

export const revokedTokensContract: Contract = {
  'a token that was taken back is known to be, and no other': async (t, { revokedTokens }) => {
    await revokedTokens.add('jti', 100)
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.has('JTI'), false)
    t.equal(await revokedTokens.has(''), false)
  },

  'repeating it is harmless, fifty times at once as well': async (t, { revokedTokens }) => {
    await Promise.all(Array.from({ length: 50 }, () => revokedTokens.add('jti', 100)))
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.prune(101, 10), 1)
  },

  'the fact survives a restart': async (t, store, database) => {
    await store.revokedTokens.add('jti', 100)
    await store.db.close()
    t.equal(await (await database.connect()).revokedTokens.has('jti'), true)
  },

  'it is kept only as long as the token would live': async (t, { revokedTokens }) => {
    for (let i = 1; i <= 5; i += 1) await revokedTokens.add(`jti${i}`, i)
    t.equal(await revokedTokens.prune(4, 2), 2)
    t.equal(await revokedTokens.prune(4, 2), 1)
    t.equal(await revokedTokens.prune(4, 2), 0)
    t.equal(await revokedTokens.has('jti3'), false)
    t.equal(await revokedTokens.has('jti4'), true)
  },
}
