import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../src/store/db.ts'
import { createGroups, MAX_GROUP } from '../../src/store/postgres/groups.ts'
import { isPending } from '../support/server/waiting.ts'

/** Groups whose statements end when the test says so. */
function heldGroups({ maxWaiting = 1000, maxAlone = 1000 } = {}) {
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
    maxAlone,
    maxWaiting,
    patience: 5000,
  })
  const answer = (n: number) => held[n]?.resolve((sent[n] ?? []).map(String))
  return { groups, sent, alone, ends, held, answer }
}

const carryOut = (groups: ReturnType<typeof heldGroups>['groups'], from: number, to: number) =>
  Promise.all(Array.from({ length: to - from }, (_, i) => groups.carryOut(from + i)))

t.test('what comes while two statements are under way shares the next ones, in its order', async (t) => {
  const { groups, sent, answer } = heldGroups()
  const all = carryOut(groups, 0, 9)
  t.same(sent, [[0], [1]])
  answer(1)
  await turn()
  t.same(sent.slice(2), [[2, 3, 4, 5]], 'a power of two')
  answer(0)
  await turn()
  t.same(sent.slice(3), [[6, 7]])
  answer(2)
  await turn()
  t.same(sent.slice(4), [[8]])
  answer(3)
  answer(4)
  t.same(await all, ['0', '1', '2', '3', '4', '5', '6', '7', '8'])
  const next = carryOut(groups, 9, 10)
  t.same(sent.slice(5), [[9]], 'nothing waits if nothing is under way')
  answer(5)
  t.same(await next, ['9'])
})

t.test('a group has a largest size', async (t) => {
  const { groups, sent, answer } = heldGroups()
  void carryOut(groups, 0, 2 + 2 * MAX_GROUP + 1)
  answer(0)
  await turn()
  t.equal(sent[2]?.length, MAX_GROUP)
})

t.test('what a group leaves out is carried out alone, and the next group does not wait for it', async (t) => {
  const { groups, sent, alone, held } = heldGroups()
  const all = carryOut(groups, 0, 6)
  held[0]?.resolve(['0'])
  await turn()
  t.same(sent[2], [2, 3, 4, 5])
  held[2]?.resolve([undefined, '3'])
  held[1]?.resolve([])
  t.same(await all, ['0', '1 alone', '2 alone', '3', '4 alone', '5 alone'])
  t.same(alone, [2, 4, 5, 1])
})

t.test('the failure of a group is that of each, and the next group goes on', async (t) => {
  const { groups, sent, held, answer } = heldGroups()
  const settled = Promise.allSettled(Array.from({ length: 5 }, (_, i) => groups.carryOut(i)))
  answer(0)
  await turn()
  t.same(sent[2], [2, 3])
  held[2]?.reject(new Error('lost'))
  await turn()
  t.same(sent[3], [4])
  answer(1)
  answer(3)
  const outcomes = (await settled).map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message))
  t.same(outcomes, ['0', '1', 'lost', 'lost', '4'])
})

t.test('a bounded number waits', async (t) => {
  const { groups, sent, answer } = heldGroups({ maxWaiting: 3 })
  void carryOut(groups, 0, 5)
  await t.rejects(groups.carryOut(5), StoreUnavailable)
  answer(0)
  await turn()
  t.same(sent[2], [2, 3], 'two have begun, and one waits')
  void carryOut(groups, 6, 8)
  await t.rejects(groups.carryOut(8), StoreUnavailable)
  answer(1)
  await turn()
  t.same(sent[3], [4, 6])
})

/** Returns a function that lets milliseconds pass. */
function mockTime(t: Test): (ms: number) => void {
  let now = 1000
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => now)
  t.teardown(() => mock.reset())
  return (ms) => {
    now += ms
    mock.timers.tick(ms)
  }
}

t.test('what a group leaves out after a long time is not carried out alone', async (t) => {
  const pass = mockTime(t as Test)
  const { groups, alone, held } = heldGroups()
  const [slow, quick] = [groups.carryOut(0), groups.carryOut(1)]
  pass(4999)
  held[1]?.resolve([])
  t.equal(await quick, '1 alone')
  pass(1)
  held[0]?.resolve([])
  await t.rejects(slow, StoreUnavailable)
  t.same(alone, [1])
})

t.test('few are carried out alone at once, and others who wait for that hold up no group', async (t) => {
  const pass = mockTime(t as Test)
  const { groups, sent, alone, ends, held, answer } = heldGroups({ maxAlone: 2, maxWaiting: 3 })
  const locked = Promise.withResolvers<void>()
  for (const item of [0, 1, 2]) ends.set(item, locked.promise)
  const settled = Promise.allSettled([0, 1, 2, 3, 4].map((item) => groups.carryOut(item)))
  for (const n of [0, 1, 2, 3]) {
    held[n]?.resolve([])
    await turn()
  }
  t.same(sent, [[0], [1], [2, 3], [4]])
  t.same(alone, [0, 1])
  const full = groups.carryOut(5)
  held[4]?.resolve([])
  await t.rejects(full, StoreUnavailable, 'a bounded number waits')
  const free = groups.carryOut(6)
  answer(5)
  t.equal(await free, '6')
  pass(4000)
  locked.resolve()
  await turn()
  t.same(alone, [0, 1, 2, 3, 4])
  t.same(
    (await settled).map((one) => one.status === 'fulfilled' && one.value),
    [0, 1, 2, 3, 4].map((item) => `${item} alone`),
  )
})

t.test('waiting to be carried out alone is bounded', async (t) => {
  const pass = mockTime(t as Test)
  const { groups, alone, ends, held } = heldGroups({ maxAlone: 1 })
  ends.set(0, new Promise(() => {}))
  void groups.carryOut(0)
  const late = groups.carryOut(1)
  held[0]?.resolve([])
  await turn()
  held[1]?.resolve([])
  await turn()
  pass(4999)
  t.ok(await isPending(late))
  pass(1)
  await t.rejects(late, StoreUnavailable)
  t.same(alone, [0])
})

t.test('each of those who wait is refused after the same time, if nothing is answered', async (t) => {
  const pass = mockTime(t as Test)
  const { groups } = heldGroups()
  void carryOut(groups, 0, 2)
  const waiting: Promise<string>[] = []
  for (const item of [2, 3, 4]) {
    waiting.push(groups.carryOut(item))
    pass(1000)
  }
  pass(2000)
  const refused = () => Promise.all(waiting.map(async (promise) => !(await isPending(promise))))
  t.same(await refused(), [true, false, false])
  pass(1000)
  t.same(await refused(), [true, true, false])
  pass(1000)
  t.same(await refused(), [true, true, true])
  for (const promise of waiting) await t.rejects(promise, StoreUnavailable)
})

t.test('an item waits for a bounded time, and those who came later go on waiting', async (t) => {
  const pass = mockTime(t as Test)
  const { groups, sent, answer } = heldGroups()
  void carryOut(groups, 0, 2)
  const early = groups.carryOut(2)
  pass(3000)
  const late = groups.carryOut(3)
  pass(1999)
  t.ok(await isPending(early))
  pass(1)
  await t.rejects(early, StoreUnavailable)
  answer(0)
  await turn()
  t.same(sent[2], [3])
  pass(10_000)
  answer(2)
  t.equal(await late, '3')
  const again = groups.carryOut(4)
  await turn()
  answer(3)
  const refused = groups.carryOut(5)
  t.equal(await again, '4')
  answer(4)
  t.equal(await refused, '5', 'nothing is refused that does not wait')
})
