import type { KnownVerifier } from '../../src/store/contracts/verifiers.ts'
import type { Contract } from './contract.ts'

const known = (overrides: Partial<KnownVerifier> = {}): KnownVerifier => ({
  name: 'orders',
  instance: 'a',
  ringVersion: 3,
  seenAt: 100,
  ...overrides,
})

export const verifiersContract: Contract = {
  'a process is remembered with the ring it was given last, others of its name beside it': async (
    t,
    { verifiers },
  ) => {
    await verifiers.record([known(), known({ instance: 'b', ringVersion: 2 })])
    await verifiers.record([known({ ringVersion: 4, seenAt: 110 })])
    t.same(await verifiers.list(0), [
      known({ ringVersion: 4, seenAt: 110 }),
      known({ instance: 'b', ringVersion: 2 }),
    ])
  },

  'an older version or time never replaces a newer one': async (t, { verifiers }) => {
    await verifiers.record([known({ ringVersion: 4, seenAt: 110 })])
    await verifiers.record([known({ ringVersion: 3, seenAt: 120 })])
    await verifiers.record([known({ ringVersion: 2, seenAt: 90 })])
    t.same(await verifiers.list(0), [known({ ringVersion: 4, seenAt: 120 })])
  },

  'one that was not seen since is not listed, and is pruned': async (t, { verifiers }) => {
    await verifiers.record([known(), known({ name: 'stock', seenAt: 200 })])
    t.same(
      (await verifiers.list(150)).map(({ name }) => name),
      ['stock'],
    )
    t.equal(await verifiers.prune(150, 10), 1)
    t.equal((await verifiers.list(0)).length, 1)
  },

  'forget takes all processes of the name, and says whether there was one': async (t, { verifiers }) => {
    await verifiers.record([known(), known({ instance: 'b' }), known({ name: 'stock' })])
    t.equal(await verifiers.delete('orders'), true)
    t.equal(await verifiers.delete('orders'), false)
    t.equal((await verifiers.list(0)).length, 1)
  },
}
