import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  createConcurrencyLimiter,
  Overloaded,
  type TaskOrigin,
} from '../../src/accounts/concurrency-limiter.ts'

const origin = (more: Partial<TaskOrigin> = {}): TaskOrigin => ({
  kind: 'password',
  ip: '192.0.2.1',
  knownLocation: false,
  ...more,
})

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
    const limiter = createConcurrencyLimiter({ running: 2, waiting: 3 })
    const { started, end, job } = work()
    const all = Array.from({ length: 8 }, (_, i) => outcome(limiter.run(job(i), origin())))
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

t.test('waiting tasks run in order before new tasks', async (t) => {
  const limiter = createConcurrencyLimiter({ running: 1, waiting: 2 })
  const { started, end, job } = work()
  const all = [limiter.run(job(0), origin()), limiter.run(job(1), origin()), limiter.run(job(2), origin())]
  end(0)
  await all[0]
  all.push(limiter.run(job(3), origin()))
  for (let i = 1; i < 4; i += 1) {
    await turn()
    t.equal(started.length, i + 1, 'one at a time')
    end(i)
  }
  await Promise.all(all)
  t.same(started, [0, 1, 2, 3])
})

t.test('a failing task frees its place and reports its error to its caller', async (t) => {
  const limiter = createConcurrencyLimiter({ running: 1, waiting: 1 })
  for (let i = 0; i < 10; i += 1) {
    const failing = [
      outcome(limiter.run(() => Promise.reject(new Error(`failed ${i}`)), origin())),
      outcome(
        limiter.run(() => {
          throw new Error('at once')
        }, origin()),
      ),
    ]
    t.match(await Promise.all(failing), [{ message: `failed ${i}` }, { message: 'at once' }])
  }
  t.equal(await limiter.run(async () => 'free', origin()), 'free')
})

t.test('without a queue every task over the limit is refused', async (t) => {
  const limiter = createConcurrencyLimiter({ running: 1, waiting: 0 })
  const { end, job } = work()
  const first = limiter.run(job(0), origin())
  await t.rejects(limiter.run(job(1), origin()), Overloaded)
  end(0)
  await first
  t.equal(await limiter.run(async () => 'free', origin()), 'free')
})

t.test('a thousand concurrent tasks never exceed the limit, and each one is answered', async (t) => {
  const limiter = createConcurrencyLimiter({ running: 3, waiting: 500 })
  let inside = 0
  let most = 0
  const all = Array.from({ length: 1000 }, () =>
    outcome(
      limiter.run(async () => {
        inside += 1
        most = Math.max(most, inside)
        await turn()
        inside -= 1
        return 'done'
      }, origin()),
    ),
  )
  const outcomes = await Promise.all(all)
  t.equal(most, 3)
  t.equal(outcomes.filter((one) => one === 'done').length, 503)
  t.equal(outcomes.filter((one) => one instanceof Overloaded).length, 497)
})

/** Starts a task that occupies the only running place; the others wait. */
async function occupied(waiting: number, failuresFrom?: (kind: string, prefix: string) => number) {
  const limiter = createConcurrencyLimiter({ running: 1, waiting }, failuresFrom)
  const order: string[] = []
  let release = () => {}
  const first = limiter.run(
    () =>
      new Promise<void>((resolve) => {
        release = resolve
      }),
    origin(),
  )
  return {
    limiter,
    order,
    add: (name: string, more: Partial<TaskOrigin> = {}) =>
      outcome(limiter.run(async () => void order.push(name), origin(more))),
    async finish() {
      release()
      await first
    },
  }
}

const refusals = (outcomes: readonly unknown[]) => outcomes.filter((one) => one instanceof Overloaded).length

t.test(
  'IP prefixes are served in turn, however many tasks each of them has (docs/security.md Q14)',
  async (t) => {
    const { add, order, finish } = await occupied(10)
    const all = [
      ...Array.from({ length: 5 }, (_, i) => add(`a${i}`, { ip: '192.0.2.1' })),
      add('b0', { ip: '192.0.2.2' }),
      add('b1', { ip: '192.0.2.2' }),
      add('c0', { ip: '2001:db8::1' }),
      add('c1', { ip: '2001:db8::2' }),
    ]
    await finish()
    await Promise.all(all)
    t.same(order, ['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'a3', 'a4'])
  },
)

t.test(
  'a full queue makes room for an IP prefix that has fewer places, and refuses one that has its share (docs/security.md Q14)',
  async (t) => {
    const { add, order, finish } = await occupied(4)
    const flood = Array.from({ length: 20 }, (_, i) => add(`a${i}`, { ip: '192.0.2.1' }))
    const others = [add('b0', { ip: '192.0.2.2' }), add('c0', { ip: '192.0.2.3' })]
    const late = [add('a20', { ip: '192.0.2.1' }), add('b1', { ip: '192.0.2.2' })]
    await finish()
    t.equal(refusals(await Promise.all(flood)), 18)
    t.equal(refusals(await Promise.all(others)), 0)
    t.equal(refusals(await Promise.all(late)), 2, 'a swap would change nothing')
    t.same(order, ['a0', 'b0', 'c0', 'a1'])
  },
)

t.test(
  'a task from a known location does not wait for tasks of strangers, from any number of IP prefixes (docs/security.md Q14)',
  async (t) => {
    const { add, order, finish } = await occupied(16)
    const strangers = Array.from({ length: 300 }, (_, i) => add(`stranger ${i}`, { ip: `10.0.${i % 100}.1` }))
    const user = add('user', { ip: '192.0.2.1', knownLocation: true })
    await finish()
    t.equal(refusals([await user]), 0)
    t.equal(order[0], 'user')
    t.equal(refusals(await Promise.all(strangers)), 284)
  },
)

t.test('known locations leave one turn in four to the others', async (t) => {
  const { add, order, finish } = await occupied(10)
  const all = [
    ...Array.from({ length: 8 }, (_, i) => add('known', { ip: `192.0.2.${i}`, knownLocation: true })),
    ...Array.from({ length: 2 }, (_, i) => add('other', { ip: `192.0.2.${i}` })),
  ]
  await finish()
  await Promise.all(all)
  t.same(order.map((name) => name[0]).join(''), 'kkkokkkokk')
})

t.test(
  'client secrets and passwords take turns and have waiting places of their own (docs/security.md Q14)',
  async (t) => {
    const { add, order, finish } = await occupied(4)
    const secrets = Array.from({ length: 30 }, (_, i) =>
      add('s', { ip: `10.0.0.${i}`, kind: 'client_secret' }),
    )
    const passwords = Array.from({ length: 3 }, () => add('p'))
    await finish()
    t.equal(refusals(await Promise.all(passwords)), 0)
    t.equal(refusals(await Promise.all(secrets)), 26)
    t.equal(order.join(''), 'spspsps')
  },
)

t.test(
  'an IP prefix goes before those with more failed attempts, and takes one of their places (docs/security.md Q14)',
  async (t) => {
    const failures = (_: string, prefix: string) =>
      prefix.startsWith('10.') ? 5 : prefix.startsWith('11.') ? 1 : 0
    const { add, order, finish } = await occupied(16, failures)
    const guesses = Array.from({ length: 100 }, (_, i) => add('guess', { ip: `10.0.0.${i}` }))
    const mistyped = add('mistyped', { ip: '11.0.0.1' })
    const fresh = [add('new', { ip: '192.0.2.1' }), add('new again', { ip: '192.0.2.1' })]
    const late = add('guess', { ip: '10.0.1.1' })
    await finish()
    t.equal(refusals(await Promise.all([mistyped, fresh[0]])), 0)
    t.same(order.slice(0, 2), ['new', 'mistyped'])
    t.equal(refusals([await fresh[1]]), 1, 'one place, or a single prefix could take them all')
    t.equal(refusals([await late]), 1)
    t.equal(refusals(await Promise.all(guesses)), 86)
  },
)

t.test('every fourth turn does not look at failed attempts', async (t) => {
  const { add, order, finish } = await occupied(10, (_, prefix) => (prefix.startsWith('10.') ? 1 : 0))
  const all = [
    ...Array.from({ length: 2 }, (_, i) => add('failed', { ip: `10.0.0.${i}` })),
    ...Array.from({ length: 7 }, (_, i) => add('new', { ip: `192.0.2.${i}` })),
  ]
  await finish()
  await Promise.all(all)
  t.same(order.map((name) => name[0]).join(''), 'nnnfnnnfn')
})
