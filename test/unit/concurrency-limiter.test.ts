import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createConcurrencyLimiter, Overloaded } from '../../src/accounts/concurrency-limiter.ts'

/** Work that ends when the test says so. */
function work() {
  const started: number[] = []
  const ends: (() => void)[] = []
  return {
    started,
    end: (i: number) => ends[i]?.(),
    job: (i: number) => () =>
      new Promise<number>((resolve) => {
        started.push(i)
        ends[i] = () => resolve(i)
      }),
  }
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (value) => value,
    (error) => error,
  )

t.test(
  'a fixed number of tasks run, a fixed number wait, and the rest are refused at once (docs/security.md Q14)',
  async (t) => {
    const gate = createConcurrencyLimiter({ running: 2, waiting: 3 })
    const { started, end, job } = work()
    const all = Array.from({ length: 8 }, (_, i) => outcome(gate.run(job(i))))
    await turn()
    t.same(started, [0, 1])
    for (const refused of await Promise.all(all.slice(5))) {
      t.type(refused, Overloaded)
      t.equal((refused as Overloaded).retryAfter, 1)
    }
    for (let i = 0; i < 5; i += 1) {
      end(i)
      await turn()
    }
    t.same(await Promise.all(all.slice(0, 5)), [0, 1, 2, 3, 4])
    t.same(started, [0, 1, 2, 3, 4], 'refused tasks never started')
  },
)

t.test('waiting tasks run in order before newcomers', async (t) => {
  const gate = createConcurrencyLimiter({ running: 1, waiting: 2 })
  const { started, end, job } = work()
  const all = [gate.run(job(0)), gate.run(job(1)), gate.run(job(2))]
  end(0)
  await all[0]
  all.push(gate.run(job(3)))
  for (let i = 1; i < 4; i += 1) {
    await turn()
    t.equal(started.length, i + 1, 'one at a time')
    end(i)
  }
  await Promise.all(all)
  t.same(started, [0, 1, 2, 3])
})

t.test('a failing task frees its place and reports its error to its caller', async (t) => {
  const gate = createConcurrencyLimiter({ running: 1, waiting: 1 })
  for (let i = 0; i < 10; i += 1) {
    const failing = [
      outcome(gate.run(() => Promise.reject(new Error(`failed ${i}`)))),
      outcome(
        gate.run(() => {
          throw new Error('at once')
        }),
      ),
    ]
    t.match(await Promise.all(failing), [{ message: `failed ${i}` }, { message: 'at once' }])
  }
  t.equal(await gate.run(async () => 'free'), 'free')
})

t.test('without a queue every task over the limit is refused', async (t) => {
  const gate = createConcurrencyLimiter({ running: 1, waiting: 0 })
  const { end, job } = work()
  const first = gate.run(job(0))
  await t.rejects(gate.run(job(1)), Overloaded)
  end(0)
  await first
  t.equal(await gate.run(async () => 'free'), 'free')
})

t.test('a thousand concurrent tasks never exceed the limit, and each one is answered', async (t) => {
  const gate = createConcurrencyLimiter({ running: 3, waiting: 500 })
  let inside = 0
  let most = 0
  const all = Array.from({ length: 1000 }, () =>
    outcome(
      gate.run(async () => {
        inside += 1
        most = Math.max(most, inside)
        await turn()
        inside -= 1
        return 'done'
      }),
    ),
  )
  const outcomes = await Promise.all(all)
  t.equal(most, 3)
  t.equal(outcomes.filter((one) => one === 'done').length, 503)
  t.equal(outcomes.filter((one) => one instanceof Overloaded).length, 497)
})
