import type { IdempotentRequest } from '../../src/store/contracts/idempotency.ts'
import { type Contract, winners } from './contract.ts'

const begun = (overrides: Partial<IdempotentRequest> = {}) => ({
  actor: 'client:robot',
  key: 'key',
  request: 'request',
  begunAt: 1000,
  expiresAt: 2000,
  ...overrides,
})

export const idempotencyContract: Contract = {
  'a request begins once for each actor and key, until the key expires': async (t, { idempotency }) => {
    t.equal(await idempotency.begin(begun()), true)
    t.equal(await idempotency.begin(begun()), false)
    t.equal(await idempotency.begin(begun({ begunAt: 1999, expiresAt: 2999 })), false)
    t.equal(await idempotency.begin(begun({ actor: 'client:other' })), true)
    t.equal(await idempotency.begin(begun({ key: 'other' })), true)
    t.same(await idempotency.find('client:robot', 'key', 1999), { ...begun(), answer: null })
    t.equal(await idempotency.find('client:robot', 'key', 2000), null)
    t.equal(await idempotency.find('client:robot', 'unused', 1000), null)
    await idempotency.finish(begun(), 'answer')
    const next = begun({ request: 'next', begunAt: 2000, expiresAt: 3000 })
    t.equal(await idempotency.begin(next), true)
    t.same(await idempotency.find('client:robot', 'key', 2000), { ...next, answer: null })
  },

  'of fifty concurrent requests on two connections, exactly one begins (docs/security.md W4)': async (
    t,
    store,
    database,
  ) => {
    const other = await database.connect()
    const outcome = await winners(50, (i) => (i % 2 ? store : other).idempotency.begin(begun()))
    t.same(outcome, { won: 1, lost: 49 })
  },

  'the answer is stored once, and only for the request that began then': async (t, { idempotency }) => {
    await idempotency.begin(begun())
    t.equal(await idempotency.finish(begun({ begunAt: 999 }), 'late'), false)
    t.equal(await idempotency.finish(begun(), 'answer'), true)
    t.equal(await idempotency.finish(begun(), 'another'), false)
    t.match(await idempotency.find('client:robot', 'key', 1000), { answer: 'answer' })
  },

  'a request in progress can be forgotten, and one with an answer cannot': async (t, { idempotency }) => {
    await idempotency.begin(begun())
    await idempotency.forget(begun({ begunAt: 999 }))
    t.equal(await idempotency.begin(begun()), false)
    await idempotency.forget(begun())
    t.equal(await idempotency.begin(begun()), true)
    await idempotency.finish(begun(), 'answer')
    await idempotency.forget(begun())
    t.match(await idempotency.find('client:robot', 'key', 1000), { answer: 'answer' })
  },

  'prune deletes expired requests, at most as many as asked': async (t, { idempotency }) => {
    for (let i = 1; i <= 3; i += 1) await idempotency.begin(begun({ key: `${i}`, begunAt: 0, expiresAt: i }))
    t.equal(await idempotency.prune(3, 1), 1)
    t.equal(await idempotency.prune(3, 5), 1)
    t.equal(await idempotency.prune(3, 5), 0)
    t.not(await idempotency.find('client:robot', '3', 2), null)
  },
}
