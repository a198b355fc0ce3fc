import t from 'tap'
import { createFailedAttempts } from '../../src/accounts/failed-attempts.ts'
import { testClock } from '../support/server/clock.ts'

t.test(
  'an attempt counts as failed until it has succeeded, and is forgotten after ten minutes',
  async (t) => {
    const clock = testClock()
    const failed = createFailedAttempts(clock)
    t.equal(failed.count('192.0.2.1'), 0)
    failed.add('192.0.2.1')
    failed.add('192.0.2.1')
    failed.remove('192.0.2.1')
    t.same([failed.count('192.0.2.1'), failed.count('192.0.2.2')], [1, 0])
    failed.remove('192.0.2.1')
    failed.remove('192.0.2.1')
    t.equal(failed.count('192.0.2.1'), 0)
    failed.add('192.0.2.1')
    clock.tick(599)
    t.equal(failed.count('192.0.2.1'), 1)
    clock.tick(1)
    t.equal(failed.count('192.0.2.1'), 0)
  },
)

t.test('the prefixes of one IPv6 site count together (docs/security.md Q14)', async (t) => {
  const failed = createFailedAttempts(testClock())
  for (let i = 0; i < 100; i += 1) failed.add(`2001:db8:1:${i.toString(16)}::/64`)
  t.equal(failed.count('2001:db8:1:ffff::/64'), 100)
  t.equal(failed.count('2001:db8:2:0::/64'), 0)
})

t.test('any number of addresses takes a bounded amount of memory', async (t) => {
  const failed = createFailedAttempts(testClock())
  for (let i = 0; i < 10_001; i += 1) failed.add(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  t.same([failed.count('10.0.0.0'), failed.count('10.0.0.1')], [0, 1])
})
