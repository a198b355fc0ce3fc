import t from 'tap'
import { singleFlight, singleFlightByKey } from '../../src/single-flight.ts'

/** Work that ends when the test says so. */
function controlledWork() {
  const calls: PromiseWithResolvers<string>[] = []
  const work = () => {
    const call = Promise.withResolvers<string>()
    calls.push(call)
    return call.promise
  }
  return { calls, work }
}

t.test('concurrent callers share one call, and the next caller after it starts another', async (t) => {
  const { calls, work } = controlledWork()
  const call = singleFlight(work)
  const both = Promise.all([call(), call()])
  t.equal(calls.length, 1)
  calls[0]?.resolve('first')
  t.same(await both, ['first', 'first'])
  const next = call()
  t.equal(calls.length, 2)
  calls[1]?.resolve('second')
  t.equal(await next, 'second')
})

t.test('a failure reaches every caller that shared the call, and is not kept', async (t) => {
  const { calls, work } = controlledWork()
  const call = singleFlight(work)
  const both = [call(), call()]
  calls[0]?.reject(new Error('no'))
  for (const one of both) await t.rejects(one, { message: 'no' })
  const next = call()
  calls[1]?.resolve('yes')
  t.equal(await next, 'yes')
})

t.test('settled() waits for the call that is under way, even one that fails', async (t) => {
  const { calls, work } = controlledWork()
  const call = singleFlight(work)
  await call.settled()
  call().catch(() => {})
  let settled = false
  const waiting = call.settled().then(() => {
    settled = true
  })
  await Promise.resolve()
  t.notOk(settled)
  calls[0]?.reject(new Error('no'))
  await waiting
  t.ok(settled)
})

t.test('callers with the same key share one call; other keys have calls of their own', async (t) => {
  const { calls, work } = controlledWork()
  const call = singleFlightByKey<string, string>()
  const all = Promise.all([call('a', work), call('b', work), call('a', work)])
  t.equal(calls.length, 2)
  calls[0]?.resolve('A')
  calls[1]?.resolve('B')
  t.same(await all, ['A', 'B', 'A'])
  const again = call('a', work)
  t.equal(calls.length, 3)
  calls[2]?.reject(new Error('no'))
  await t.rejects(again)
})
