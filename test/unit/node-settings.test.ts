import t from 'tap'
import { sharedSettings } from '../../src/config/shared.ts'
import { joinNodes } from '../../src/node/node-settings.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { testClock } from '../support/server/clock.ts'
import { testLogger } from '../support/server/log.ts'
import { testConfig } from '../support/server/server.ts'

t.test(
  'of two nodes with different issuers that start at the same moment, at least one is refused',
  async (t) => {
    const db = openDb('sqlite::memory:')
    t.teardown(() => db.close())
    const clock = testClock()
    await migrate(db, clock)
    const { nodes } = createStore(db)
    const join = (hostname: string, ISSUER: string) => {
      const config = testConfig({ ISSUER })
      const now = clock.now()
      const settings = sharedSettings(config)
      const self = {
        id: hostname,
        hostname,
        pid: 1,
        version: '0.1.0',
        ringVersion: 1,
        masterKeys: [],
        settings,
      }
      return joinNodes({
        config,
        nodes,
        clock,
        logger: testLogger(),
        nodeInfo: { hostname, pid: 1 },
        record: () => nodes.record({ ...self, startedAt: now, seenAt: now }),
        isRunning: () => true,
      })
    }
    const outcomes = await Promise.allSettled([join('a', 'https://a.test'), join('b', 'https://b.test')])
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [String(one.reason.message)] : []))
    t.ok(refused.length >= 1, `${refused.length}`)
    for (const message of refused)
      t.match(message, /serves this store with the issuer https:\/\/[ab]\.test, and this node would serve/)
  },
)
