/** When a serving node runs its background jobs: by the clock, and at once when the store notifies of a change. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { BackgroundJobs } from '../../src/node/background-jobs.ts'
import { type ChangePollerOptions, startChangePoller } from '../../src/node/change-poller.ts'
import type { ChangeListener } from '../../src/store/db.ts'
import { testLogger } from '../support/server/log.ts'
import { until } from '../support/server/waiting.ts'

const NEVER = 1e9

type Name = Exclude<keyof BackgroundJobs, 'stop' | 'isPollWanted'>

/** A poller whose jobs are counted, and may be held up or fail. */
function startedPoller(t: Test, intervals: NonNullable<ChangePollerOptions['intervals']>) {
  const counts: Record<Name | 'stop', number> = {
    poll: 0,
    heartbeat: 0,
    deliverLogouts: 0,
    maintainKeys: 0,
    prune: 0,
    stop: 0,
  }
  const state = {
    jobBarrier: Promise.resolve(),
    pruneBarrier: Promise.resolve(),
    failure: undefined as Error | undefined,
    running: 0,
    maxRunning: 0,
    isPollWanted: (notifies: boolean) => !notifies,
  }
  const job = (name: Name) => async () => {
    counts[name] += 1
    state.running += 1
    state.maxRunning = Math.max(state.maxRunning, state.running)
    await state.jobBarrier
    state.running -= 1
    if (name === 'poll' && state.failure) throw state.failure
  }
  const jobs: BackgroundJobs = {
    poll: job('poll'),
    heartbeat: job('heartbeat'),
    deliverLogouts: job('deliverLogouts'),
    maintainKeys: job('maintainKeys'),
    isPollWanted: (notifies) => state.isPollWanted(notifies),
    prune: async () => {
      counts.prune += 1
      await state.pruneBarrier
    },
    stop: async () => {
      counts.stop += 1
    },
  }
  const logger = testLogger()
  const subscription: { listener?: ChangeListener; stopped: boolean } = { stopped: false }
  const poller = startChangePoller(jobs, logger, {
    intervals,
    changes(listener) {
      subscription.listener = listener
      return {
        async stop() {
          subscription.stopped = true
        },
      }
    },
  })
  t.teardown(() => poller.stop())
  const { listener } = subscription
  if (!listener) throw new Error('the poller has not subscribed')
  const untilCount = async (name: Name | 'stop', count: number) => {
    while (counts[name] < count) await sleep(1)
  }
  return { poller, counts, state, logger, listener, subscription, untilCount }
}

t.test('a notification is polled for at once, many notifications by two polls', async (t) => {
  const { counts, state, listener, untilCount } = startedPoller(t, {
    poll: NEVER,
    busyPoll: NEVER,
    idlePoll: NEVER,
  })
  listener.onStateChange('listening')
  let open = () => {}
  state.jobBarrier = new Promise((resolve) => {
    open = resolve
  })
  listener.onChange()
  await untilCount('poll', 1)
  for (let i = 0; i < 100; i += 1) listener.onChange()
  open()
  await untilCount('deliverLogouts', 2)
  await sleep(60)
  t.same(counts, { poll: 2, heartbeat: 2, deliverLogouts: 2, maintainKeys: 0, prune: 0, stop: 0 })
  t.equal(state.maxRunning, 1, 'jobs run one at a time')
  listener.onChange()
  await untilCount('deliverLogouts', 3)
})

t.test('the store is polled rarely while it notifies of changes, and often while it does not', async (t) => {
  const { counts, listener, untilCount, logger } = startedPoller(t, {
    poll: 5,
    busyPoll: NEVER,
    idlePoll: NEVER,
  })
  await untilCount('poll', 3)
  listener.onStateChange('listening')
  await sleep(20)
  const before = counts.poll
  await sleep(60)
  t.equal(counts.poll, before)
  listener.onStateChange('lost', new Error('cut'))
  await untilCount('poll', before + 3)
  listener.onStateChange('listening')
  listener.onStateChange('unsupported', new Error('none'))
  await untilCount('poll', before + 6)
  t.same(
    logger.lines.map(({ level }) => level),
    ['info', 'warn', 'info', 'info'],
    'each change of state is logged',
  )
})

t.test(
  'a node that is notified of changes and has no requests looks rarely, and its heartbeat goes on',
  async (t) => {
    const { counts, state, listener, untilCount } = startedPoller(t, {
      poll: NEVER,
      busyPoll: 1,
      idlePoll: 50,
    })
    listener.onStateChange('listening')
    await untilCount('poll', 2)
    // Rounds, whatever time they take: of fifty, one polls.
    t.ok(counts.heartbeat >= 99, `${counts.heartbeat} rounds`)
    t.equal(counts.deliverLogouts, 2)
    const before = { ...counts }
    state.isPollWanted = () => true
    await untilCount('poll', before.poll + 10)
    t.ok(counts.heartbeat - before.heartbeat <= 11, 'while it is wanted, each round polls')
  },
)

t.test(
  'a store that can tell that nothing was written is asked less often after a quiet round',
  async (t) => {
    const { counts, state, untilCount } = startedPoller(t, { poll: 1, busyPoll: NEVER, idlePoll: NEVER })
    await untilCount('poll', 3)
    state.isPollWanted = () => false
    const before = counts.poll
    await untilCount('heartbeat', counts.heartbeat + 1)
    await sleep(30)
    t.ok(counts.poll <= before + 1)
    t.ok(counts.heartbeat <= before + 2)
  },
)

t.test('keys are maintained at once and then once a second, however many notifications come', async (t) => {
  // Ten rounds count as a second, whatever they really take.
  const { counts, listener, untilCount } = startedPoller(t, { poll: 100, busyPoll: 100, idlePoll: 100 })
  listener.onStateChange('listening')
  const notifications = setInterval(() => listener.onChange(), 1)
  t.teardown(() => clearInterval(notifications))
  await untilCount('maintainKeys', 2)
  t.ok(counts.poll >= 11)
  t.equal(counts.prune, 0)
})

t.test('a listening connection that comes and goes does not put the jobs off', async (t) => {
  const { counts, listener } = startedPoller(t, { poll: 20, busyPoll: 20, idlePoll: 20, prune: 40 })
  for (const end = Date.now() + 1000; Date.now() < end && counts.prune === 0; await sleep(5)) {
    listener.onStateChange('listening')
    listener.onStateChange('lost', new Error('cut'))
  }
  t.not(counts.prune, 0)
})

t.test('polling continues while pruning runs, and a stop waits for pruning', async (t) => {
  const { poller, counts, state, untilCount } = startedPoller(t, {
    poll: 5,
    busyPoll: NEVER,
    idlePoll: NEVER,
    prune: 10,
  })
  let open = () => {}
  state.pruneBarrier = new Promise((resolve) => {
    open = resolve
  })
  await untilCount('prune', 1)
  await untilCount('poll', counts.poll + 6)
  t.equal(counts.prune, 1, 'one at a time')
  let stopped = false
  const stopping = poller.stop().then(() => {
    stopped = true
  })
  await untilCount('stop', 1)
  await sleep(5)
  t.not(stopped, true)
  open()
  await stopping
})

t.test('polling that fails is a problem and logged once, also after a notification', async (t) => {
  const { poller, state, listener, logger, untilCount } = startedPoller(t, {
    poll: NEVER,
    busyPoll: NEVER,
    idlePoll: NEVER,
  })
  listener.onStateChange('listening')
  state.failure = new Error('away')
  for (let i = 1; i <= 3; i += 1) {
    listener.onChange()
    await untilCount('poll', i)
    await untilCount('deliverLogouts', i)
  }
  t.equal(poller.problem(), 'the store cannot be polled')
  const errors = () => logger.lines.filter(({ level }) => level === 'error').length
  t.equal(errors(), 1)
  state.failure = undefined
  listener.onChange()
  await untilCount('deliverLogouts', 4)
  t.equal(poller.problem(), null)
  t.equal(errors(), 1)
})

t.test('after a poll that failed the next one does not wait until there is a reason', async (t) => {
  const { poller, counts, state, listener, untilCount } = startedPoller(t, {
    poll: NEVER,
    busyPoll: 5,
    idlePoll: NEVER,
  })
  listener.onStateChange('listening')
  state.failure = new Error('away')
  listener.onChange()
  await untilCount('poll', 3)
  t.equal(poller.problem(), 'the store cannot be polled')
  state.failure = undefined
  await until(() => poller.problem() === null)
  const { poll, heartbeat } = { ...counts }
  await untilCount('heartbeat', heartbeat + 3)
  t.equal(counts.poll, poll)
})

t.test('after a stop no job starts, whatever the store notifies', async (t) => {
  const { poller, counts, state, listener, subscription, untilCount } = startedPoller(t, {
    poll: 5,
    busyPoll: 5,
    idlePoll: 5,
  })
  let open = () => {}
  state.jobBarrier = new Promise((resolve) => {
    open = resolve
  })
  await untilCount('poll', 1)
  listener.onChange()
  const stopped = poller.stop()
  t.equal(counts.stop, 0, 'the running job is waited for')
  open()
  await stopped
  t.same([subscription.stopped, counts.stop], [true, 1])
  const before = { ...counts }
  listener.onChange()
  await sleep(30)
  t.same(counts, before)
})
