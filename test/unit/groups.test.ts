import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../src/store/db.ts'
import { createGroups, MAX_GROUP } from '../../src/store/postgres/groups.ts'
import { isPending, turns } from '../support/server/waiting.ts'

/** Groups whose statements end, and whose time passes, when the test says so. */
function heldGroups(t: Test, { maxTogether = 1, maxWaiting = 1000, maxAlone = 1000 } = {}) {
  let now = 1000
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => now)
  t.teardown(() => mock.reset())

  const sent: (readonly number[])[] = []
  const alone: number[] = []
  /** What the items wait for that are carried out alone. */
  const ends = new Map<number, Promise<void>>()
  const held: PromiseWithResolvers<readonly (string | undefined)[]>[] = []
  const groups = createGroups<number, string>({
    together(items) {
      sent.push(items)
      const answers = Promise.withResolvers<readonly (string | undefined)[]>()
      held.push(answers)
      return answers.promise
    },
    async alone(item) {
      alone.push(item)
      await ends.get(item)
      return `${item} alone`
    },
    maxTogether,
    maxAlone,
    maxWaiting,
    patience: 5000,
  })

  function carryOut(item: number): Promise<string> {
    const outcome = groups.carryOut(item)
    // A test need not wait for each.
    outcome.catch(() => {})
    return outcome
  }

  return {
    sent,
    alone,
    ends,
    carryOut,
    carryOutAll: (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => carryOut(from + i)),
    /** Ends statement `n`. Each of its items has an answer unless others are given. */
    async answer(n: number, answers: readonly (string | undefined)[] = (sent[n] ?? []).map(String)) {
      held[n]?.resolve(answers)
      await turns()
    },
    async fail(n: number, message: string) {
      held[n]?.reject(new Error(message))
      await turns()
    },
    async pass(ms: number) {
      now += ms
      mock.timers.tick(ms)
      await turns()
    },
  }
}

/** What has come first is sent alone. */
async function heldByOne(t: Test, bounds: Parameters<typeof heldGroups>[1] = {}) {
  const groups = heldGroups(t, bounds)
  const first = groups.carryOut(0)
  await turns()
  t.same(groups.sent, [[0]])
  return { ...groups, first }
}

const outcomesOf = async (promises: readonly Promise<string>[]) =>
  (await Promise.allSettled(promises)).map((one) =>
    one.status === 'fulfilled' ? one.value : one.reason.message,
  )

t.test('what comes in one turn of the event loop shares a statement', async (t) => {
  const { sent, carryOutAll, answer } = heldGroups(t as Test)
  const all = carryOutAll(0, 4)
  t.same(sent, [], 'more may have been received')
  await turns()
  t.same(sent, [[0, 1, 2, 3]])
  await answer(0)
  t.same(await Promise.all(all), ['0', '1', '2', '3'])
})

t.test('what comes while a statement is under way shares the next ones, in its order', async (t) => {
  const { sent, first, carryOut, carryOutAll, answer } = await heldByOne(t as Test)
  const all = [first, ...carryOutAll(1, 8)]
  await turns()
  t.same(sent.slice(1), [])
  await answer(0)
  t.same(sent.slice(1), [[1, 2, 3, 4]], 'a power of two')
  await answer(1)
  t.same(sent.slice(2), [[5, 6]])
  await answer(2)
  t.same(sent.slice(3), [[7]])
  await answer(3)
  t.same(await Promise.all(all), ['0', '1', '2', '3', '4', '5', '6', '7'])
  const next = carryOut(8)
  await turns()
  t.same(sent.slice(4), [[8]], 'nothing waits if nothing is under way')
  await answer(4)
  t.equal(await next, '8')
})

t.test('a group has a largest size', async (t) => {
  const { sent, carryOutAll } = heldGroups(t as Test)
  carryOutAll(0, 2 * MAX_GROUP + 1)
  await turns()
  t.same(
    sent.map((items) => items.length),
    [MAX_GROUP],
  )
})

t.test('nobody waits long for a slow statement, and a bounded number is under way', async (t) => {
  const { sent, carryOut, answer, pass } = await heldByOne(t as Test, { maxTogether: 3 })
  carryOut(1)
  await pass(9)
  t.same(sent, [[0]])
  await pass(1)
  t.same(sent.slice(1), [[1]])
  carryOut(2)
  await turns()
  t.same(sent.slice(2), [], 'the second one is not overdue')
  await pass(10)
  t.same(sent.slice(2), [[2]])
  carryOut(3)
  carryOut(4)
  await pass(1000)
  t.same(sent.slice(3), [], 'three are under way')
  await answer(1)
  t.same(sent.slice(3), [[3, 4]])
  await answer(0)
  carryOut(5)
  await turns()
  t.same(sent.slice(4), [], 'of two, one is not overdue')
  await answer(3)
  t.same(sent.slice(4), [[5]])
  await answer(2)
  await answer(4)
  carryOut(6)
  carryOut(7)
  await turns()
  carryOut(8)
  await turns()
  t.same(sent.slice(5), [[6, 7]], 'what was overdue has ended')
})

t.test('a statement that has ended in time is not overdue later', async (t) => {
  const { sent, carryOut, answer, pass } = await heldByOne(t as Test, { maxTogether: 2 })
  await answer(0)
  await pass(10)
  carryOut(1)
  await turns()
  carryOut(2)
  await turns()
  t.same(sent.slice(1), [[1]])
})

t.test('what comes after a slow statement has begun is sent at once when that is overdue', async (t) => {
  const { sent, carryOut, pass } = await heldByOne(t as Test, { maxTogether: 2 })
  await pass(10)
  carryOut(1)
  await turns()
  t.same(sent.slice(1), [[1]])
})

t.test('what a group leaves out is carried out alone, and the next group does not wait for it', async (t) => {
  const { sent, alone, first, carryOut, carryOutAll, answer, ends } = await heldByOne(t as Test)
  const locked = Promise.withResolvers<void>()
  ends.set(0, locked.promise)
  const all = [first, ...carryOutAll(1, 5)]
  await answer(0, [])
  t.same(sent[1], [1, 2, 3, 4])
  const next = carryOut(5)
  await answer(1, [undefined, '2', undefined, '4'])
  await answer(2)
  t.equal(await next, '5')
  locked.resolve()
  t.same(await Promise.all(all), ['0 alone', '1 alone', '2', '3 alone', '4'])
  t.same(alone, [0, 1, 3])
})

t.test('the failure of a group is that of each, and the next group goes on', async (t) => {
  const { sent, first, carryOutAll, answer, fail } = await heldByOne(t as Test)
  const all = [first, ...carryOutAll(1, 4)]
  await answer(0)
  t.same(sent[1], [1, 2])
  await fail(1, 'lost')
  t.same(sent[2], [3])
  await answer(2)
  t.same(await outcomesOf(all), ['0', 'lost', 'lost', '3'])
})

t.test('a bounded number waits', async (t) => {
  const { sent, carryOut, carryOutAll, answer } = await heldByOne(t as Test, { maxWaiting: 3 })
  carryOutAll(1, 4)
  await t.rejects(carryOut(4), StoreUnavailable)
  await answer(0)
  t.same(sent[1], [1, 2], 'two have begun, and one waits')
  carryOutAll(5, 7)
  await t.rejects(carryOut(7), StoreUnavailable)
  await answer(1)
  t.same(sent[2], [3, 5])
})

t.test('what a group leaves out after a long time is not carried out alone', async (t) => {
  const { alone, first, carryOut, answer, pass } = await heldByOne(t as Test, { maxTogether: 2 })
  await pass(10)
  const second = carryOut(1)
  await pass(4989)
  await answer(1, [])
  t.equal(await second, '1 alone')
  await pass(1)
  await answer(0, [])
  await t.rejects(first, StoreUnavailable)
  t.same(alone, [1])
})

t.test('few are carried out alone at once, and others who wait for that hold up no group', async (t) => {
  const { sent, alone, ends, carryOut, answer, pass } = heldGroups(t as Test, { maxAlone: 2, maxWaiting: 3 })
  const locked = Promise.withResolvers<void>()
  for (const item of [0, 1, 2]) ends.set(item, locked.promise)
  const all: Promise<string>[] = []
  for (const item of [0, 1, 2, 3, 4]) {
    all.push(carryOut(item))
    await turns()
    await answer(item, [])
  }
  t.same(sent, [[0], [1], [2], [3], [4]])
  t.same(alone, [0, 1])
  const full = carryOut(5)
  await turns()
  await answer(5, [])
  await t.rejects(full, StoreUnavailable, 'a bounded number waits')
  const free = carryOut(6)
  await turns()
  await answer(6)
  t.equal(await free, '6')
  await pass(4000)
  locked.resolve()
  await turns()
  t.same(alone, [0, 1, 2, 3, 4])
  t.same(
    await Promise.all(all),
    [0, 1, 2, 3, 4].map((item) => `${item} alone`),
  )
})

t.test('waiting to be carried out alone is bounded', async (t) => {
  const { alone, ends, carryOut, answer, pass } = heldGroups(t as Test, { maxAlone: 1 })
  ends.set(0, new Promise(() => {}))
  carryOut(0)
  const late = carryOut(1)
  await turns()
  await answer(0, [])
  await pass(4999)
  t.ok(await isPending(late))
  await pass(1)
  await t.rejects(late, StoreUnavailable)
  t.same(alone, [0])
})

t.test(
  'who came first is carried out alone first, and refused first, whichever group ends first',
  async (t) => {
    const bounds = { maxTogether: 3, maxAlone: 1 }
    const { alone, ends, first, carryOut, answer, pass } = await heldByOne(t as Test, bounds)
    const lock = Promise.withResolvers<void>()
    ends.set(9, lock.promise)
    await pass(10)
    const second = carryOut(9)
    await pass(1000)
    const third = carryOut(2)
    await pass(1000)
    await answer(1, [])
    await answer(2, [])
    await answer(0, [])
    t.same(alone, [9])
    await pass(2990)
    await t.rejects(first, StoreUnavailable)
    t.ok(await isPending(third))
    lock.resolve()
    t.equal(await second, '9 alone')
    t.equal(await third, '2 alone')
  },
)

t.test('each of those who wait is refused after the same time, if nothing is answered', async (t) => {
  const { carryOut, pass } = await heldByOne(t as Test)
  const waiting: Promise<string>[] = []
  for (const item of [1, 2, 3]) {
    waiting.push(carryOut(item))
    await pass(1000)
  }
  const refused = () => Promise.all(waiting.map(async (promise) => !(await isPending(promise))))
  await pass(2000)
  t.same(await refused(), [true, false, false])
  await pass(1000)
  t.same(await refused(), [true, true, false])
  await pass(1000)
  t.same(await refused(), [true, true, true])
  for (const promise of waiting) await t.rejects(promise, StoreUnavailable)
})

t.test('nothing is sent if all who wait have been refused before', async (t) => {
  const { sent, carryOut, pass } = heldGroups(t as Test)
  const late = carryOut(0)
  await pass(5000)
  await t.rejects(late, StoreUnavailable)
  t.same(sent, [])
})

t.test('an item waits for a bounded time, and those who came later go on waiting', async (t) => {
  const { sent, carryOut, answer, pass } = await heldByOne(t as Test)
  const early = carryOut(1)
  await pass(3000)
  const late = carryOut(2)
  await pass(1999)
  t.ok(await isPending(early))
  await pass(1)
  await t.rejects(early, StoreUnavailable)
  await answer(0)
  t.same(sent[1], [2])
  await pass(10_000)
  await answer(1)
  t.equal(await late, '2')
  const again = carryOut(3)
  await turns()
  await answer(2)
  t.equal(await again, '3', 'nothing is refused that does not wait')
})
