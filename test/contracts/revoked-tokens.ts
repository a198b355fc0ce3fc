import type { Contract } from './contract.ts'

export const revokedTokensContract: Contract = {
  'has is true for a revoked token and for no other': async (t, { revokedTokens }) => {
    await revokedTokens.add('jti', 100)
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.has('JTI'), false)
    t.equal(await revokedTokens.has(''), false)
  },

  'a token can be revoked repeatedly, also fifty times concurrently': async (t, { revokedTokens }) => {
    await Promise.all(Array.from({ length: 50 }, () => revokedTokens.add('jti', 100)))
    t.equal(await revokedTokens.has('jti'), true)
    t.equal(await revokedTokens.prune(101, 10), 1)
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
