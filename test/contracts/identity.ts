import { type Contract, winners } from './contract.ts'

export const identityContract: Contract = {
  'of fifty concurrent attempts to name a store exactly one succeeds, and no later one': async (
    t,
    store,
    database,
  ) => {
    t.equal(await store.identity.read(), null)
    const other = await database.connect()
    const create = (i: number) => (i % 2 ? store : other).identity.create(`store ${i}`, 100)
    t.same(await winners(50, create), { won: 1, lost: 49 })
    const name = await store.identity.read()
    t.match(name, /^store \d+$/)
    t.equal(await store.identity.create('another name', 200), false)
    t.equal(await other.identity.read(), name)
  },
}
