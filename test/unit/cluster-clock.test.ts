import t from 'tap'
import { createClusterClock } from '../../src/node/cluster-clock.ts'
import { testClock } from '../support/server/clock.ts'
import { testLogger } from '../support/server/log.ts'

const START = 1_700_000_000
const DAY = 86_400

/** A machine’s two clocks, one of which a test sets, and the clock of a store that machines share. */
async function world({ wrongBy = 0, shared = true } = {}) {
  const machine = testClock(START + wrongBy)
  const store = testClock(START)
  const logger = testLogger()
  let monotonic = 5000
  let slow = 0
  let reads = 0
  const storeTime = async () => {
    reads += 1
    monotonic += slow / 2
    const reading = store.now() * 1000
    monotonic += slow / 2
    return reading
  }
  const time = await createClusterClock({
    machine,
    monotonic: () => monotonic,
    logger,
    storeTime: shared ? storeTime : undefined,
  })
  return {
    time,
    machine,
    store,
    logger,
    reads: () => reads,
    slow: (ms: number) => {
      slow = ms
    },
    /** Time that really passes. */
    pass(seconds: number) {
      machine.tick(seconds)
      store.tick(seconds)
      monotonic += seconds * 1000
    },
    /** The machine is suspended: its monotonic clock stands still. */
    sleep(seconds: number) {
      machine.tick(seconds)
      store.tick(seconds)
    },
  }
}

t.test(
  'a node on a shared store uses the store’s clock, however wrong its own is (docs/security.md Q7)',
  async (t) => {
    for (const wrongBy of [0, 60, -60, 40 * DAY]) {
      const { time, pass, store, logger } = await world({ wrongBy })
      t.equal(time.clock.now(), store.now(), `${wrongBy} s`)
      pass(3)
      t.equal(time.clock.now(), store.now(), 'and continues between two readings')
      t.equal(logger.lines.length, wrongBy === 0 ? 0 : 1)
    }
    const { logger } = await world({ wrongBy: -60 })
    t.match(logger.lines[0]?.message, /this machine's clock is 60 s behind the store's clock/)
  },
)

t.test(
  'the store’s clock is read every five seconds, and setting the machine’s clock changes nothing (docs/security.md Q7)',
  async (t) => {
    const { time, pass, store, machine, reads } = await world()
    for (let i = 0; i < 40; i += 1) {
      pass(0.25)
      await time.poll()
    }
    t.equal(reads(), 3)
    machine.tick(-3600)
    t.equal(time.clock.now(), store.now())
    machine.tick(7200)
    t.equal(time.clock.now(), store.now())
  },
)

t.test('after a sleep or a jump the store’s clock is read at once (docs/security.md Q7, Q18)', async (t) => {
  const { time, sleep, store, reads } = await world()
  sleep(3600)
  t.equal(time.clock.now(), store.now() - 3600, 'the monotonic clock did not notice')
  await time.poll()
  t.equal(reads(), 2)
  t.equal(time.clock.now(), store.now())
})

t.test('a slow reading of the store’s clock is used until there is a fast one', async (t) => {
  const { time, pass, store, slow } = await world()
  pass(6)
  slow(4000)
  await time.poll()
  // The four seconds passed for the machine alone.
  t.equal(time.clock.now(), store.now() + 4, 'the faster reading is more precise')
})

t.test('a node on a store of its own uses the machine’s clock', async (t) => {
  const { time, machine, pass } = await world({ shared: false, wrongBy: 60 })
  pass(5)
  await time.poll()
  t.equal(time.clock.now(), machine.now())
})

t.test(
  'after a jump ahead, irreversible actions wait until the skipped time has passed (docs/security.md Q7)',
  async (t) => {
    const { time, machine, pass, logger } = await world({ shared: false })
    pass(10)
    const before = machine.now()
    machine.tick(3600)
    t.equal(time.clock.now(), before + 3600)
    t.equal(time.conservativeNow(), before)
    t.match(logger.lines[0]?.message, /the clock has jumped ahead by 3600 s/)
    pass(3599)
    t.equal(time.conservativeNow(), before + 3599)
    pass(1)
    t.equal(time.conservativeNow(), machine.now(), 'the skipped time has passed')
  },
)

t.test(
  'a jump that is undone delays nothing, and the longest delay is a day (docs/security.md Q7)',
  async (t) => {
    const { time, machine, pass } = await world({ shared: false })
    machine.tick(3600)
    await time.poll()
    pass(60)
    machine.tick(-3600)
    t.equal(time.conservativeNow(), machine.now())
    machine.tick(400 * DAY)
    t.equal(time.conservativeNow(), machine.now() - DAY)
    pass(DAY)
    t.equal(time.conservativeNow(), machine.now())
  },
)

t.test('a clock that is corrected gradually, or set back, delays nothing', async (t) => {
  const { time, machine, pass } = await world({ shared: false })
  for (let i = 0; i < 100; i += 1) {
    pass(10)
    machine.tick(1)
    t.equal(time.conservativeNow(), machine.now())
  }
  machine.tick(-DAY)
  t.equal(time.conservativeNow(), machine.now())
})

t.test('a jump of the store’s clock delays every node (docs/security.md Q7)', async (t) => {
  const { time, store, pass, logger } = await world()
  store.tick(3600)
  pass(5)
  await time.poll()
  t.equal(time.clock.now(), store.now())
  t.equal(time.conservativeNow(), store.now() - 3600)
  t.ok(logger.lines.some(({ message }) => /the clock has jumped ahead by 3600 s/.test(message ?? '')))
})

t.test(
  'an age is the larger of the two times that the clocks have measured (docs/security.md Q18)',
  async (t) => {
    const { time, pass, sleep, machine } = await world()
    const mark = time.ages.mark()
    pass(2)
    t.equal(time.ages.since(mark), 2000)
    sleep(5)
    t.equal(time.ages.since(mark), 7000)
    machine.tick(-60)
    t.equal(time.ages.since(mark), 53_000, 'a clock that was set back makes nothing younger')
  },
)
