import { once } from 'node:events'
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import argon2 from 'argon2'
import t from 'tap'
import { type HashingThread, startHashingThread } from '../../src/accounts/hashing-thread.ts'
import { createHashingThreads, IDLE_MS } from '../../src/accounts/hashing-threads.ts'
import { findHash, hashOnThreads, hashPassword, verifyPassword } from '../../src/accounts/password.ts'

const REQUEST = { password: 'x', memory: 256, passes: 1, lanes: 1, length: 32, salt: Buffer.alloc(16) }

/** Threads whose hashes are done when the test says so. */
function heldThreads() {
  const events: string[] = []
  const answers: PromiseWithResolvers<Uint8Array>[] = []
  let started = 0
  const start = (): HashingThread => {
    const id = started
    started += 1
    events.push(`start ${id}`)
    return {
      hash() {
        events.push(`hash ${id}`)
        answers[id] = Promise.withResolvers()
        return answers[id].promise
      },
      end: () => void events.push(`end ${id}`),
    }
  }
  return { events, answers, hash: createHashingThreads(2, start) }
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

t.test('a thread starts only if all others are busy, and hashes again', async (t) => {
  const { events, answers, hash } = heldThreads()
  const first = hash(REQUEST)
  answers[0]?.resolve(Buffer.from('a'))
  t.same(await first, Buffer.from('a'))
  const [second, third] = [hash(REQUEST), hash(REQUEST)]
  answers[1]?.resolve(Buffer.from('c'))
  answers[0]?.resolve(Buffer.from('b'))
  t.same(await Promise.all([second, third]), [Buffer.from('b'), Buffer.from('c')])
  t.same(events, ['start 0', 'hash 0', 'hash 0', 'start 1', 'hash 1'])
})

t.test('when all threads are busy, hashes wait in order', async (t) => {
  const { events, answers, hash } = heldThreads()
  const all = ['a', 'b', 'c', 'd'].map((password) => hash({ ...REQUEST, password }))
  t.same(events, ['start 0', 'hash 0', 'start 1', 'hash 1'])
  answers[1]?.reject(new Error('ended'))
  await t.rejects(async () => void (await all[1]), { message: 'ended' })
  await turn()
  t.same(events.slice(4), ['end 1', 'start 2', 'hash 2'])
  answers[0]?.resolve(Buffer.of())
  await all[0]
  await turn()
  t.same(events.slice(7), ['hash 0'])
  const fifth = hash(REQUEST)
  answers[0]?.resolve(Buffer.of())
  answers[2]?.resolve(Buffer.of())
  await Promise.all(all.slice(2))
  await turn()
  t.equal(events.length, 9, 'a place that was passed on is free again')
  for (const answer of answers) answer?.resolve(Buffer.of())
  await fifth
})

t.test('a thread without work ends, while another one has work', async (t) => {
  const { events, answers, hash } = heldThreads()
  const both = [hash(REQUEST), hash(REQUEST)]
  for (const answer of answers) answer.resolve(Buffer.of())
  await Promise.all(both)
  mock.timers.tick(IDLE_MS - 1)
  const again = hash(REQUEST)
  answers[1]?.resolve(Buffer.of())
  await again
  events.length = 0
  mock.timers.tick(1)
  t.same(events, ['end 0'])
  mock.timers.tick(IDLE_MS - 1)
  t.same(events, ['end 0', 'end 1'])
  hash(REQUEST)
  t.same(events.slice(2), ['start 2', 'hash 2'])
})

t.test('a thread that fails is not used again', async (t) => {
  const { events, answers, hash } = heldThreads()
  const failed = hash(REQUEST)
  answers[0]?.reject(new Error('out of memory'))
  await t.rejects(failed, { message: 'out of memory' })
  hash(REQUEST)
  t.same(events, ['start 0', 'hash 0', 'end 0', 'start 1', 'hash 1'])
})

t.test('a hash that cannot be computed fails alone', async (t) => {
  const hash = createHashingThreads(2)
  const outcomes = await Promise.allSettled([hash(REQUEST), hash({ ...REQUEST, salt: Buffer.alloc(3) })])
  t.same(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  t.match(outcomes[1], { reason: { code: 'ERR_OUT_OF_RANGE' } })
  t.equal((await hash(REQUEST)).length, 32)
})

t.test('a thread that ended while it had no work refuses a hash', async (t) => {
  const started = once(process, 'worker')
  const thread = startHashingThread()
  const [worker] = (await started) as [Worker]
  const ended = once(worker, 'exit')
  thread.end()
  await ended
  await t.rejects(thread.hash(REQUEST), { message: 'the thread that hashes has ended' })
})

t.test('hashes of threads and of the library are the same', async (t) => {
  const onPool = await hashPassword('correct horse')
  hashOnThreads(createHashingThreads(2))
  t.teardown(() => hashOnThreads(undefined))
  const onThread = await hashPassword('correct horse', onPool)
  t.equal(onThread, onPool)
  t.equal(await argon2.verify(await hashPassword('correct horse'), 'correct horse'), true)
  t.match(await verifyPassword(onPool, 'correct horse'), { ok: true, outdated: false })
  t.match(await verifyPassword(onPool, 'wrong horse'), { ok: false })
  t.match(await verifyPassword(null, 'correct horse'), { ok: false })
  const other = await hashPassword('another horse', onPool)
  t.equal(await findHash([onPool, other], 'another horse'), other)
  const old = await argon2.hash('correct horse', { type: argon2.argon2i, memoryCost: 256, timeCost: 2 })
  t.match(await verifyPassword(old, 'correct horse'), { ok: true }, 'a hash that only the library can check')
})

t.test('if no thread can be started, the thread pool hashes', async (t) => {
  const stored = await hashPassword('correct horse')
  const start = () => {
    throw new Error('too many threads')
  }
  hashOnThreads(createHashingThreads(2, start))
  t.teardown(() => hashOnThreads(undefined))
  t.equal(await hashPassword('correct horse', stored), stored)
  t.match(await verifyPassword(stored, 'correct horse'), { ok: true, outdated: false })
  t.match(await verifyPassword(stored, 'wrong horse'), { ok: false })
})
