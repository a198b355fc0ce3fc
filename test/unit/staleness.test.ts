import t from 'tap'
import { createAges } from '../../src/node/cluster-clock.ts'
import { createStaleness } from '../../src/node/staleness.ts'
import { testClock } from '../support/server/clock.ts'

function world() {
  const clock = testClock()
  const ages = createAges(clock, () => clock.now() * 1000)
  const waiting: PromiseWithResolvers<void>[] = []
  const staleness = createStaleness({
    ages,
    poll() {
      const poll = Promise.withResolvers<void>()
      waiting.push(poll)
      return poll.promise
    },
  })
  return { clock, waiting, ...staleness }
}

t.test('a view that is a second old is used, without a promise', async (t) => {
  const { clock, refreshIfStale, waiting } = world()
  t.equal(refreshIfStale(), undefined)
  clock.tick(1)
  t.equal(refreshIfStale(), undefined)
  t.equal(waiting.length, 0)
})

t.test('a view is in use from a request to the next poll, which a poll alone does not change', async (t) => {
  const { inUse, refreshIfStale, poll, waiting } = world()
  t.equal(inUse(), false)
  refreshIfStale()
  t.equal(inUse(), true)
  const polled = poll()
  t.equal(inUse(), false)
  refreshIfStale()
  waiting[0]?.resolve()
  await polled
  t.equal(inUse(), true, 'the poll may have been too early for the second request')
})

t.test(
  'a process that wakes up polls first, once for all waiting requests (docs/security.md Q18)',
  async (t) => {
    const { clock, refreshIfStale, poll, waiting } = world()
    clock.tick(2)
    let answered = 0
    const requests = [refreshIfStale(), refreshIfStale(), poll(), refreshIfStale()].map(async (waited) => {
      await waited
      answered += 1
    })
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(answered, 0)
    t.equal(waiting.length, 1)
    waiting[0]?.resolve()
    await Promise.all(requests)
    t.equal(refreshIfStale(), undefined)
  },
)

t.test(
  'the age of a poll counts from its request, not from its response (docs/security.md Q18)',
  async (t) => {
    const { clock, refreshIfStale, waiting } = world()
    clock.tick(5)
    let answered = false
    const request = refreshIfStale()?.then(() => {
      answered = true
    })
    // The process is suspended between request and response.
    clock.tick(60)
    waiting[0]?.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(waiting.length, 2, 'it polls again')
    t.notOk(answered)
    waiting[1]?.resolve()
    await request
    t.ok(answered)
  },
)

t.test('requests do not wait long for a store that fails or is silent', async (t) => {
  const { clock, refreshIfStale, waiting } = world()
  clock.tick(5)
  const failing = refreshIfStale()
  waiting[0]?.reject(new Error('gone'))
  await failing
  t.equal(waiting.length, 1)
  const silent = refreshIfStale()
  const timer = setTimeout(() => {}, 2000)
  await silent
  await refreshIfStale()
  clearTimeout(timer)
  t.equal(waiting.length, 2, 'all requests share one poll')
})
