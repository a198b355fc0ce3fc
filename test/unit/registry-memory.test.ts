import t from 'tap'
import { MAX_CLIENT_BYTES, openRegistry } from '../../src/oauth/registry.ts'
import type { Client } from '../../src/store/contracts/clients.ts'

const CLIENT_BYTES = MAX_CLIENT_BYTES / 8

t.test('large clients take no more memory than the limit, and are read again', async (t) => {
  const read: string[] = []
  const registry = await openRegistry({
    store: {
      revisions: { read: async () => ({ registry: 1 }) },
      apis: { list: async () => [] },
      roles: { list: async () => [] },
      clients: {
        async find(id: string) {
          read.push(id)
          return { id, jwks: { keys: [{ x5c: ['x'.repeat(CLIENT_BYTES)] }] } } as unknown as Client
        },
      },
    } as never,
  })
  for (let i = 0; i < 8; i += 1) await registry.client(`c${i}`)
  t.equal((await registry.client('c7'))?.id, 'c7')
  t.equal(read.length, 8, 'the last one is held')
  t.equal((await registry.client('c0'))?.id, 'c0')
  t.same(read.slice(8), ['c0'], 'the first one is not')
})
