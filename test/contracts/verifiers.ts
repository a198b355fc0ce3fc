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
  'record stores each process of a name with the ring version it fetched last': async (t, { verifiers }) => {
    await verifiers.record([known(), known({ instance: 'b', ringVersion: 2 })])
    await verifiers.record([known({ ringVersion: 4, seenAt: 110 })])
    t.same(await verifiers.list(0), [
      { ...known({ ringVersion: 4, seenAt: 110 }), expected: false },
      { ...known({ instance: 'b', ringVersion: 2 }), expected: false },
    ])
  },

  'an older version or time never replaces a newer one': async (t, { verifiers }) => {
    await verifiers.record([known({ ringVersion: 4, seenAt: 110 })])
    await verifiers.record([known({ ringVersion: 3, seenAt: 120 })])
    await verifiers.record([known({ ringVersion: 2, seenAt: 90 })])
    t.same(await verifiers.list(0), [{ ...known({ ringVersion: 4, seenAt: 120 }), expected: false }])
  },

  'a verifier that was not seen since is not listed, and prune deletes it': async (t, { verifiers }) => {
    await verifiers.record([known(), known({ name: 'stock', seenAt: 200 })])
    t.same(
      (await verifiers.list(150)).map(({ name }) => name),
      ['stock'],
    )
    t.equal(await verifiers.prune(150, 10), 1)
    t.equal((await verifiers.list(0)).length, 1)
  },

  'delete removes all processes of a name and returns whether there was one': async (t, { verifiers }) => {
    await verifiers.record([known(), known({ instance: 'b' }), known({ name: 'stock' })])
    t.equal(await verifiers.delete('orders'), true)
    t.equal(await verifiers.delete('orders'), false)
    t.equal((await verifiers.list(0)).length, 1)
  },

  'an expected name is expected until it is deleted, whether or not it was seen': async (
    t,
    { verifiers },
  ) => {
    t.equal(await verifiers.expect('stock', 5), true)
    t.equal(await verifiers.expect('orders', 5), true)
    t.equal(await verifiers.expect('orders', 6), false)
    t.same(await verifiers.expected(), ['orders', 'stock'])
    await verifiers.record([known(), known({ name: 'mail' })])
    t.same(
      (await verifiers.list(0)).map(({ name, expected }) => [name, expected]),
      [
        ['mail', false],
        ['orders', true],
      ],
    )
    await verifiers.prune(1000, 10)
    t.same(await verifiers.expected(), ['orders', 'stock'])
    t.equal(await verifiers.delete('stock'), true, 'even if it was never seen')
    t.same(await verifiers.expected(), ['orders'])
  },
}
