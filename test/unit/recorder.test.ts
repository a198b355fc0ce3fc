/** When the audit log is written: soon after an event, and hardly ever while nothing happens. */
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import type { AuditLog } from '../../src/audit/log.ts'
import { startRecorder } from '../../src/audit/recorder.ts'
import { testClock } from '../support/server/clock.ts'
import { testLogger } from '../support/server/log.ts'
import { turns } from '../support/server/waiting.ts'

const MINUTE = 60_000

async function started(t: Test) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const clock = testClock()
  const counts = { flush: 0, keepAnchor: 0 }
  const state = { waiting: 0, aggregating: false, fails: false }
  let onRecord = () => {}
  const log = {
    check: async () => {},
    async flush() {
      counts.flush += 1
      if (state.fails) throw new Error('down')
      state.waiting = 0
    },
    async keepAnchor() {
      counts.keepAnchor += 1
    },
    state: () => ({ ...state, written: 0, dropped: 0, anchor: '7:hash' }),
    onRecord(listener: () => void) {
      onRecord = listener
    },
  } as Partial<AuditLog> as AuditLog
  const logger = testLogger()
  const recorder = startRecorder(log, { clock, logger })
  t.teardown(() => recorder.stop())
  /** Both clocks go on; the test clock counts whole seconds. */
  const pass = async (ms: number) => {
    clock.tick(Math.floor(ms / 1000))
    mock.timers.tick(ms)
    await turns()
  }
  await pass(100)
  return {
    clock,
    counts,
    state,
    logger,
    pass,
    recorded() {
      state.waiting += 1
      onRecord()
    },
    aggregated() {
      state.aggregating = true
      onRecord()
    },
  }
}

t.test('the log is checked at the start, and then not written until something happens', async (t) => {
  const { counts, pass, recorded } = await started(t)
  t.equal(counts.flush, 1)
  await pass(MINUTE - 1)
  t.equal(counts.flush, 1)
  recorded()
  recorded()
  await pass(99)
  t.equal(counts.flush, 1)
  await pass(1)
  t.equal(counts.flush, 2, 'once for events of the same moment')
  t.equal(counts.keepAnchor, 2)
  await pass(MINUTE - 1)
  t.equal(counts.flush, 2)
})

t.test('the anchor of the second of two writes in one second is kept a second later', async (t) => {
  const { clock, counts, pass, recorded } = await started(t)
  recorded()
  await pass(100)
  t.same(counts, { flush: 2, keepAnchor: 1 })
  clock.tick(1)
  await pass(100)
  t.equal(counts.keepAnchor, 2)
})

t.test('aggregated rows are looked at each second, however many events are added to them', async (t) => {
  const { counts, state, pass, aggregated } = await started(t)
  for (let i = 0; i < 10; i += 1) {
    aggregated()
    await pass(100)
  }
  t.equal(counts.flush, 2)
  await pass(1000)
  t.equal(counts.flush, 3)
  state.aggregating = false
  await pass(1000)
  await pass(MINUTE - 1)
  t.equal(counts.flush, 4)
})

t.test('while writing fails, events do not cause more attempts', async (t) => {
  const { counts, state, pass, recorded } = await started(t)
  state.fails = true
  recorded()
  await pass(100)
  for (let i = 0; i < 9; i += 1) {
    recorded()
    await pass(100)
  }
  t.equal(counts.flush, 2)
  state.fails = false
  await pass(100)
  t.equal(counts.flush, 3)
})

t.test('a node without events logs its anchor each hour', async (t) => {
  const { logger, pass } = await started(t)
  const anchors = () => logger.lines.filter(({ message }) => message === 'audit.head').length
  for (let minute = 0; minute < 59; minute += 1) await pass(MINUTE)
  t.equal(anchors(), 0)
  for (let minute = 0; minute < 2; minute += 1) await pass(MINUTE)
  t.equal(anchors(), 1)
})
