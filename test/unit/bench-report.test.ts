import t from 'tap'
import type { Measurement } from '../../bench/measure.ts'
import { asTable, median, report } from '../../bench/report.ts'
import { signInTable, withHashing } from '../../bench/sign-in.ts'
import { allowedByProcessor } from '../../bench/slow-disk.ts'

const round = (perSecond: number): Measurement => ({
  perSecond,
  responses: 1,
  p50: 1,
  p99: 2,
  cpuMicros: null,
  otherLoad: null,
})

t.test('the median of an even number of rounds is the mean of the two in the middle', async (t) => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 3, 2]), 2.5)
})

t.test('ratios are computed per round, so that a slowing machine does not change them', async (t) => {
  const [fast, slow] = report('x', [
    { name: 'fast', description: '', rounds: [300, 200, 100].map(round) },
    { name: 'slow', description: '', rounds: [150, 100, 50].map(round) },
  ]).lines
  t.match(fast, { median: 200, min: 100, max: 300, ratio_to: { slow: 2 }, rounds: [300, 200, 100] })
  t.match(slow, { median: 100, ratio_to: { fast: 0.5 } })
  const table = asTable({
    scenario: 'x',
    otherLoad: 0.4,
    lines: [fast, slow].filter((line) => line !== undefined),
  })
  t.match(table, /fast ÷ this/)
  t.match(table, /Other processes used 40 % of this machine/)
  t.match(table, /slow +100 +50 – 150 +1 +2 +2\.00/)
})

t.test('sign-ins are reported both with and without the time spent in argon2', async (t) => {
  const gross = report('complete sign-in', [
    { name: 'one', description: '', rounds: [{ ...round(40), cpuMicros: 28_000 }] },
    { name: 'two', description: '', rounds: [round(60)] },
  ])
  const hashing = [19_000, 21_000, 20_000].map((cpuMicros) => ({
    perSecond: 50,
    allPerSecond: 97,
    cpuMicros,
  }))
  const whole = withHashing(gross, hashing)
  t.same(whole.argon2, { per_second: 50, all_per_second: 97, cpu_us: 20_000 })
  t.same(whole.net_cpu_us, { one: 8000, two: null }, 'null where CPU time is not known')
  t.equal(whole.lines[0]?.cpu_us, 28_000)
  const table = signInTable(whole)
  t.match(table, /argon2: 50 sequential checks per second, 20000 CPU µs each; 97 on all processors/)
  t.match(table, /without argon2: one 8000\.\n/)
})

t.test(
  'what the processor allows beside refreshes is the rate alone, less their processor time',
  async (t) => {
    // A server that uses 1.2 s of processor time a second, of which 400 refreshes of 0.6 ms take a fifth.
    t.equal(allowedByProcessor({ perSecond: 3000, cpuMicros: 400 }, 400, 600), 2400)
    t.equal(allowedByProcessor({ perSecond: 3000, cpuMicros: 400 }, 0, 600), 3000)
    t.ok(Number.isNaN(allowedByProcessor({ perSecond: 3000, cpuMicros: null }, 400, 600)), 'it is not known')
  },
)
