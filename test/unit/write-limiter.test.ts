import t from 'tap'
import { createWriteLimiter, WRITE_LIMITS } from '../../src/accounts/write-limiter.ts'
import { testClock } from '../support/server/clock.ts'

const limits = { ...WRITE_LIMITS, code: { burst: 3, interval: 10 }, assertion: { burst: 4, interval: 0.5 } }

t.test(
  'each client, user or session has a bucket for each kind of write that refills over time (docs/security.md I108)',
  async (t) => {
    const clock = testClock()
    const limiter = createWriteLimiter(clock, limits)
    const take = (times: number, id: string) => Array.from({ length: times }, () => limiter.take('code', id))
    t.same(take(5, 'alice'), [0, 0, 0, 10, 10], 'a refused write takes nothing')
    t.same(take(1, 'bob'), [0])
    t.equal(limiter.take('login', 'alice'), 0)
    clock.tick(9)
    t.same(take(1, 'alice'), [1])
    clock.tick(1)
    t.same(take(2, 'alice'), [0, 10])
    clock.tick(3600)
    t.same(take(4, 'alice'), [0, 0, 0, 10])
  },
)

t.test('an interval can be a fraction of a second', async (t) => {
  const clock = testClock()
  const limiter = createWriteLimiter(clock, limits)
  const allowed = () =>
    Array.from({ length: 10 }, () => limiter.take('assertion', 'app')).filter((wait) => wait === 0)
  t.equal(allowed().length, 4)
  clock.tick(1)
  t.equal(allowed().length, 2)
})

t.test('a clock that is set back does not keep a bucket empty', async (t) => {
  const clock = testClock()
  const limiter = createWriteLimiter(clock, limits)
  for (let i = 0; i < 4; i += 1) limiter.take('code', 'alice')
  clock.tick(-86_400)
  t.equal(limiter.take('code', 'alice'), 0)
})

t.test('the number of buckets is bounded, and the least recently used bucket is dropped', async (t) => {
  const limiter = createWriteLimiter(testClock(), limits, 2)
  for (let i = 0; i < 4; i += 1) limiter.take('code', 'alice')
  limiter.take('code', 'bob')
  t.equal(limiter.take('code', 'alice'), 10)
  limiter.take('code', 'carol')
  t.equal(limiter.take('code', 'alice'), 0)
})
