import t from 'tap'
import { createAges } from '../../src/node/cluster-clock.ts'
import { createFreshness } from '../../src/node/staleness.ts'
import { testClock } from '../support/server/clock.ts'

function world() {
  const clock = testClock()
  const ages = createAges(clock, () => clock.now() * 1000)
  const waiting: PromiseWithResolvers<void>[] = []
  const freshness = createFreshness({
    ages,
    look() {
      const look = Promise.withResolvers<void>()
      waiting.push(look)
      return look.promise
    },
  })
  return { clock, waiting, ...freshness }
}

t.test('data less than a second old is used without a promise', async (t) => {
  const { clock, catchUp, waiting } = world()
  t.equal(catchUp(), undefined)
  clock.tick(1)
  t.equal(catchUp(), undefined)
  t.equal(waiting.length, 0)
})

t.test(
  'after a suspend the next use polls first, once for all waiting requests (docs/security.md Q18)',
  async (t) => {
    const { clock, catchUp, look, waiting } = world()
    clock.tick(2)
    let answered = 0
    const requests = [catchUp(), catchUp(), look(), catchUp()].map(async (waited) => {
      await waited
      answered += 1
    })
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(answered, 0)
    t.equal(waiting.length, 1)
    waiting[0]?.resolve()
    await Promise.all(requests)
    t.equal(catchUp(), undefined)
  },
)

t.test(
  'the age of data is counted from the request to the store, not from its response (docs/security.md Q18)',
  async (t) => {
    const { clock, catchUp, waiting } = world()
    clock.tick(5)
    let answered = false
    const request = catchUp()?.then(() => {
      answered = true
    })
    // Frozen between the two.
    clock.tick(60)
    waiting[0]?.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(waiting.length, 2, 'it is looked again')
    t.notOk(answered)
    waiting[1]?.resolve()
    await request
    t.ok(answered)
  },
)

t.test(
  'a failing or unresponsive store is not waited for, and the lease decides what is allowed meanwhile',
  async (t) => {
    const { clock, catchUp, waiting } = world()
    clock.tick(5)
    const failing = catchUp()
    waiting[0]?.reject(new Error('gone'))
    await failing
    t.equal(waiting.length, 1)
    const silent = catchUp()
    const timer = setTimeout(() => {}, 2000)
    await silent
    await catchUp()
    clearTimeout(timer)
    t.equal(waiting.length, 2, 'and is asked once by all')
  },
)
