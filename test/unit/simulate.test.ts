/** The simulation of bench/simulate.ts follows its own laws, and docs/scale.md has its figures. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { COSTS, type Needs, needs, PAGE, rewrite, SIZES, simulate, USAGE } from '../../bench/simulate.ts'

const sample = simulate(USAGE)
const DAY = 86_400

const near = (value: number, expected: number, share: number): boolean =>
  Math.abs(value - expected) <= share * expected

t.test('every simulated session is either deleted or still stored', async (t) => {
  t.ok(sample.started > 1000)
  t.equal(sample.started, sample.deleted + sample.remaining)
})

t.test('sessions are refreshed as often as they are used, more in the busiest hour', async (t) => {
  const renewals = 1 + Math.floor((USAGE.use_minutes * 60) / USAGE.access_ttl_s)
  t.ok(near(sample.refreshes * DAY, USAGE.uses_per_day * renewals, 0.05))
  t.ok(near(sample.refreshesAtPeak / sample.refreshes, 1.9, 0.1), 'the day has the configured shape')
  const busier = simulate({ ...USAGE, uses_per_day: 2 * USAGE.uses_per_day })
  t.ok(near(busier.refreshes, 2 * sample.refreshes, 0.05))
})

t.test('the number of rows is proportional to live sessions, however often they are refreshed', async (t) => {
  t.ok(sample.rows > 1 && sample.rows < 1.1)
  const busier = simulate({ ...USAGE, uses_per_day: 5 * USAGE.uses_per_day })
  t.ok(near(busier.rows, sample.rows, 0.02))
  const shorter = simulate({ ...USAGE, absolute_ttl_days: 3 })
  t.ok(shorter.rows > sample.rows, 'short sessions are kept for longer than they live')
})

t.test('a larger sample gives the same result', async (t) => {
  const larger = simulate(USAGE, 6000, 7)
  t.ok(near(larger.refreshes, sample.refreshes, 0.03))
  t.ok(near(larger.signIns, sample.signIns, 0.15))
  t.ok(near(larger.revoked, sample.revoked, 0.3))
})

t.test('more users need more of every resource, and ten times as many need ten times as much', async (t) => {
  const all = SIZES.map((users) => needs(users, sample))
  const steady: readonly (keyof Needs)[] = ['list_kb']
  for (const [i, one] of all.entries()) {
    const before = all[i - 1]
    if (!before) continue
    for (const name of Object.keys(one) as (keyof Needs)[]) {
      if (steady.includes(name)) t.equal(one[name], before[name], name)
      else t.ok(one[name] >= before[name], name)
    }
    const factor = one.users / before.users
    for (const name of ['sessions', 'rows', 'refreshes_peak', 'commits_peak', 'disk_gb'] as const)
      t.ok(near(one[name], factor * before[name], 1e-9), name)
  }
})

t.test('a higher cost increases the resources it affects and no others', async (t) => {
  const before = needs(1_000_000, sample)
  const after = needs(1_000_000, sample, USAGE, { ...COSTS, argon2_ms: 10 * COSTS.argon2_ms })
  t.ok(near(after.argon2_cores, 10 * before.argon2_cores, 1e-9))
  t.ok(near(after.node_cores - before.node_cores, 9 * before.argon2_cores, 1e-9))
  t.equal(after.store_cores, before.store_cores)
})

t.test('docs/scale.md has the figures of the simulation (node bench/simulate.ts --write)', async (t) => {
  const page = readFileSync(PAGE, 'utf8')
  t.equal(rewrite(page, sample), page)
})
