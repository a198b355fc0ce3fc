import type { ServingNode } from '../../src/store/contracts/nodes.ts'
import type { Contract } from './contract.ts'

export const node = (overrides: Partial<ServingNode> = {}): ServingNode => ({
  id: 'a',
  hostname: 'east',
  pid: 17,
  version: '1.2.3',
  ringVersion: 3,
  masterKeys: ['one'],
  settings: {},
  startedAt: 100,
  seenAt: 100,
  ...overrides,
})

export const nodesContract: Contract = {
  'record stores the latest heartbeat of a node': async (t, { nodes }) => {
    t.same(await nodes.list(), [])
    const settings = { issuer: 'https://a.example/ü', verifier_cache: 60, key_rotation: null }
    await nodes.record(node({ settings }))
    const newer = node({ settings, ringVersion: 4, masterKeys: ['one', 'two'], seenAt: 105 })
    await nodes.record(newer)
    t.same(await nodes.list(), [newer])
  },

  'list returns all nodes in the order of their starts, and a heartbeat changes only its own node': async (
    t,
    { nodes },
  ) => {
    await nodes.record(node({ id: 'c', startedAt: 300 }))
    await nodes.record(node({ id: 'b', startedAt: 200, seenAt: 1 }))
    await nodes.record(node({ id: 'a', startedAt: 200 }))
    await nodes.record(node({ id: 'c', startedAt: 300, seenAt: 400 }))
    t.same(await nodes.list(), [
      node({ id: 'a', startedAt: 200 }),
      node({ id: 'b', startedAt: 200, seenAt: 1 }),
      node({ id: 'c', startedAt: 300, seenAt: 400 }),
    ])
  },

  'remove deletes one node only': async (t, { nodes }) => {
    await nodes.record(node())
    await nodes.record(node({ id: 'b' }))
    await nodes.remove('a')
    await nodes.remove('nobody')
    t.same(await nodes.list(), [node({ id: 'b' })])
  },

  'prune deletes at most the given number of nodes without a recent heartbeat': async (t, { nodes }) => {
    for (const [id, seenAt] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const) {
      await nodes.record(node({ id, seenAt }))
    }
    t.equal(await nodes.prune(3, 1), 1)
    t.equal(await nodes.prune(3, 9), 1)
    t.same(await nodes.list(), [node({ id: 'c', seenAt: 3 })])
  },
}
