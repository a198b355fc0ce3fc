import t from 'tap'
import { concurrentHashes, serveHashing } from '../../src/accounts/hashing-limits.ts'
import { hashOnThreads } from '../../src/accounts/password.ts'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'

const machine = (processors: number, available = processors) => ({ processors, available, canYield: true })

t.test('threads that give way use every processor, up to four (docs/security.md Q14)', async (t) => {
  const allowed = [1, 2, 3, 8, 64].map((processors) => concurrentHashes(machine(processors)))
  t.same(allowed, [1, 2, 3, 4, 4])
})

t.test('in a container with a share of the processors, one is left over', async (t) => {
  const allowed = [1, 2, 4, 32].map((available) => concurrentHashes(machine(64, available)))
  t.same(allowed, [1, 1, 3, 4])
})

t.test(
  'without threads that give way, half of the thread pool hashes, and at most two threads',
  async (t) => {
    const allowed = [1, 2, 3, 4, 64].map((processors) =>
      concurrentHashes({ ...machine(processors), canYield: false }),
    )
    t.same(allowed, [1, 1, 1, 2, 2])
  },
)

t.test('sign-ins that are being verified do not use up the attempts of one account', async (t) => {
  t.teardown(() => hashOnThreads(undefined))
  for (const processors of [1, 2, 4, 64])
    t.ok(serveHashing(machine(processors)).running < LIMITS.pair.burst, `${processors}`)
})

t.test('a server works on twice as many sign-ins as threads hash, and otherwise on as many', async (t) => {
  t.teardown(() => hashOnThreads(undefined))
  t.equal(serveHashing(machine(2)).running, 4)
  t.equal(serveHashing({ ...machine(4), canYield: false }).running, 2)
})
