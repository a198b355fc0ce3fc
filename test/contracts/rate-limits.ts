import type { Bucket } from '../../src/store/contracts/rate-limits.ts'
import { type Contract, winners } from './contract.ts'

const NOW = 1_000_000
const bucket = (key: string, burst = 3, interval = 10): Bucket => ({ key, burst, interval })

export const rateLimitsContract: Contract = {
  'a bucket admits its burst, and then returns after how many seconds to try again': async (
    t,
    { rateLimits },
  ) => {
    for (let i = 0; i < 3; i += 1) t.equal(await rateLimits.take([bucket('a')], NOW), 0)
    t.equal(await rateLimits.take([bucket('a')], NOW), 10)
    t.equal(await rateLimits.take([bucket('a')], NOW + 9), 1)
    t.equal(await rateLimits.take([bucket('b')], NOW), 0, 'other buckets are not affected')
  },

  'after the returned wait, one attempt is admitted': async (t, { rateLimits }) => {
    for (let i = 0; i < 3; i += 1) await rateLimits.take([bucket('a')], NOW)
    const wait = await rateLimits.take([bucket('a')], NOW + 4)
    t.equal(await rateLimits.take([bucket('a')], NOW + 4 + wait), 0)
    t.equal(await rateLimits.take([bucket('a')], NOW + 4 + wait), 10)
  },

  'a bucket refills by one attempt every interval, up to its burst': async (t, { rateLimits }) => {
    for (let i = 0; i < 3; i += 1) await rateLimits.take([bucket('a')], NOW)
    t.equal(await rateLimits.take([bucket('a')], NOW + 10), 0)
    t.not(await rateLimits.take([bucket('a')], NOW + 10), 0)
    for (let i = 0; i < 3; i += 1) t.equal(await rateLimits.take([bucket('a')], NOW + 10_000), 0)
    t.equal(await rateLimits.take([bucket('a')], NOW + 10_000), 10)
  },

  'a refused attempt takes nothing from the bucket': async (t, { rateLimits }) => {
    for (let i = 0; i < 3; i += 1) await rateLimits.take([bucket('a')], NOW)
    for (let i = 0; i < 50; i += 1) await rateLimits.take([bucket('a')], NOW)
    t.equal(await rateLimits.take([bucket('a')], NOW + 10), 0)
  },

  'of fifty concurrent attempts on two connections, exactly the burst is admitted (RFC 6749 §10.10; docs/security.md P5)':
    async (t, store, database) => {
      const other = await database.connect()
      const take = async (i: number) =>
        (await (i % 2 ? store : other).rateLimits.take([bucket('a')], NOW)) === 0
      t.same(await winners(50, take), { won: 3, lost: 47 })
    },

  'take takes one attempt from every bucket, or from none': async (t, { rateLimits }) => {
    const both = [bucket('wide', 5), bucket('narrow', 1)]
    t.equal(await rateLimits.take(both, NOW), 0)
    for (let i = 0; i < 10; i += 1) t.equal(await rateLimits.take(both, NOW), 10)
    const left = await winners(50, async () => (await rateLimits.take([bucket('wide', 5)], NOW)) === 0)
    t.equal(left.won, 4)
  },

  'take returns the longest wait of several buckets': async (t, { rateLimits }) => {
    const both = [bucket('short', 1, 5), bucket('long', 1, 60)]
    await rateLimits.take(both, NOW)
    t.equal(await rateLimits.take(both, NOW + 1), 59)
  },

  'waits returns the wait of each bucket, in order, and takes nothing': async (t, { rateLimits }) => {
    const all = [bucket('unused'), bucket('full', 1, 60), bucket('half', 2, 30)]
    await rateLimits.take(all.slice(1), NOW)
    for (let i = 0; i < 3; i += 1) t.same(await rateLimits.waits(all, NOW + 1), [0, 59, 0])
    t.same(await rateLimits.waits(all, NOW + 60), [0, 0, 0])
    t.same(await rateLimits.waits(all, NOW - 86_400), [0, 0, 0], 'a row from a wrong clock counts as full')
  },

  'refund returns one attempt to each bucket, up to its burst': async (t, { rateLimits }) => {
    const both = [bucket('a'), bucket('b')]
    for (let i = 0; i < 3; i += 1) await rateLimits.take(both, NOW)
    await rateLimits.refund(both)
    t.equal(await rateLimits.take(both, NOW), 0)
    t.equal(await rateLimits.take(both, NOW), 10)

    for (let i = 0; i < 10; i += 1) await rateLimits.refund(both)
    await rateLimits.refund([bucket('never used')])
    for (const key of ['a', 'b', 'never used']) {
      const taken = await winners(10, async () => (await rateLimits.take([bucket(key)], NOW)) === 0)
      t.equal(taken.won, 3, key)
    }
  },

  'reset fills one bucket only': async (t, { rateLimits }) => {
    for (let i = 0; i < 3; i += 1) await rateLimits.take([bucket('a'), bucket('b')], NOW)
    await rateLimits.reset('a')
    await rateLimits.reset('unknown')
    t.equal(await rateLimits.take([bucket('a')], NOW), 0)
    t.equal(await rateLimits.take([bucket('b')], NOW), 10)
  },

  'buckets survive a restart (RFC 6749 §10.10; docs/security.md P5)': async (t, store, database) => {
    for (let i = 0; i < 3; i += 1) await store.rateLimits.take([bucket('a')], NOW)
    await store.db.close()
    t.equal(await (await database.connect()).rateLimits.take([bucket('a')], NOW), 10)
  },

  'attempts counted while the clock was far ahead block no one permanently (docs/security.md Q7)': async (
    t,
    { rateLimits },
  ) => {
    const nextYear = NOW + 365 * 86_400
    for (let i = 0; i < 4; i += 1) await rateLimits.take([bucket('a')], nextYear)
    for (let i = 0; i < 3; i += 1) t.equal(await rateLimits.take([bucket('a')], NOW), 0)
    t.equal(await rateLimits.take([bucket('a')], NOW), 10)
  },

  'a clock that is set back a little does not fill a bucket (docs/security.md Q7)': async (
    t,
    { rateLimits },
  ) => {
    for (let i = 0; i < 3; i += 1) await rateLimits.take([bucket('a')], NOW)
    t.equal(await rateLimits.take([bucket('a')], NOW - 90), 100)
  },

  'prune deletes at most the given number of full buckets, which changes no limit': async (
    t,
    { rateLimits },
  ) => {
    for (const key of ['a', 'b', 'c']) await rateLimits.take([bucket(key)], NOW)
    await rateLimits.take([bucket('busy')], NOW + 5)
    t.equal(await rateLimits.prune(NOW + 11, 2), 2)
    t.equal(await rateLimits.prune(NOW + 11, 2), 1)
    t.equal(await rateLimits.prune(NOW + 11, 2), 0)
    const left = await winners(10, async () => (await rateLimits.take([bucket('busy')], NOW + 5)) === 0)
    t.equal(left.won, 2)
  },
}

export const knownLocationsContract: Contract = {
  'a location is known until its expiry': async (t, { knownLocations }) => {
    await knownLocations.add('place', 100)
    t.equal(await knownLocations.has('place', 99), true)
    t.equal(await knownLocations.has('place', 100), false)
    t.equal(await knownLocations.has('elsewhere', 1), false)
  },

  'adding a location again extends its expiry, also fifty times concurrently': async (
    t,
    { knownLocations },
  ) => {
    await knownLocations.add('place', 100)
    await Promise.all(Array.from({ length: 50 }, () => knownLocations.add('place', 200)))
    t.equal(await knownLocations.has('place', 150), true)
  },

  'prune deletes at most the given number of expired locations': async (t, { knownLocations }) => {
    for (let i = 1; i <= 5; i += 1) await knownLocations.add(`p${i}`, i)
    t.equal(await knownLocations.prune(4, 2), 2)
    t.equal(await knownLocations.prune(4, 2), 1)
    t.equal(await knownLocations.prune(4, 2), 0)
    t.equal(await knownLocations.has('p4', 3), true)
    t.equal(await knownLocations.has('p3', 2), false)
  },
}
