import { type Contract, winners } from './contract.ts'

export const singleUseContract: Contract = {
  'claim returns true the first time and false for every replay': async (t, { singleUse }) => {
    t.equal(await singleUse.claim('jti', 100), true)
    t.equal(await singleUse.claim('jti', 100), false)
    t.equal(await singleUse.claim('jti', 999), false, 'for any expiry')
    t.equal(await singleUse.claim('other', 100), true)
  },

  'of fifty concurrent claims on two connections, exactly one succeeds (RFC 7523 §3; docs/security.md B23, P6)':
    async (t, store, database) => {
      const other = await database.connect()
      const outcome = await winners(50, (i) => (i % 2 ? store : other).singleUse.claim('jti', 100))
      t.same(outcome, { won: 1, lost: 49 })
    },

  'a claim survives a restart (RFC 7523 §3; docs/security.md B23)': async (t, store, database) => {
    await store.singleUse.claim('jti', 100)
    await store.db.close()
    t.equal(await (await database.connect()).singleUse.claim('jti', 100), false)
  },

  'prune deletes at most the given number of expired claims and returns how many (docs/security.md Q20)':
    async (t, { singleUse }) => {
      for (let i = 1; i <= 5; i += 1) await singleUse.claim(`jti${i}`, i)
      t.equal(await singleUse.prune(4, 2), 2)
      t.equal(await singleUse.prune(4, 2), 1)
      t.equal(await singleUse.prune(4, 2), 0)
      t.equal(await singleUse.claim('jti4', 4), false, 'a claim that expires exactly then is kept')
      t.equal(await singleUse.claim('jti3', 3), true)
    },
}
