/** When a serving node does what: by the clock, and at once when it hears of a change. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Duties, type FollowerOptions, startFollower } from '../../src/node/change-poller.ts'
import type { ChangeListener } from '../../src/store/db.ts'
import { testLogger } from '../support/server/log.ts'

const NEVER = 1e9

type Name = Exclude<keyof Duties, 'stop'>

/** A follower whose duties are counted, and may be held up or fail. */
function follower(t: Test, every: NonNullable<FollowerOptions['every']>) {
  const counts: Record<Name | 'stop', number> = {
    follow: 0,
    notify: 0,
    beat: 0,
    maintain: 0,
    sweep: 0,
    stop: 0,
  }
  const state = {
    gate: Promise.resolve(),
    sweepGate: Promise.resolve(),
    failure: undefined as Error | undefined,
    atOnce: 0,
    most: 0,
  }
  const duty = (name: Name) => async () => {
    counts[name] += 1
    state.atOnce += 1
    state.most = Math.max(state.most, state.atOnce)
    await state.gate
    state.atOnce -= 1
    if (name === 'follow' && state.failure) throw state.failure
  }
  const duties: Duties = {
    follow: duty('follow'),
    notify: duty('notify'),
    beat: duty('beat'),
    maintain: duty('maintain'),
    sweep: async () => {
      counts.sweep += 1
      await state.sweepGate
    },
    stop: async () => {
      counts.stop += 1
    },
  }
  const logger = testLogger()
  const heard: { listener?: ChangeListener; stopped: boolean } = { stopped: false }
  const following = startFollower(duties, logger, {
    every,
    changes(listener) {
      heard.listener = listener
      return {
        async stop() {
          heard.stopped = true
        },
      }
    },
  })
  t.teardown(() => following.stop())
  const { listener } = heard
  if (!listener) throw new Error('nobody listens')
  const reaches = async (name: Name | 'stop', count: number) => {
    while (counts[name] < count) await sleep(1)
  }
  return { following, counts, state, logger, listener, heard, reaches }
}

t.test('a notified change is read at once, and a burst of notifications causes two polls', async (t) => {
  const { counts, state, listener, reaches } = follower(t, { alone: NEVER, told: NEVER })
  listener.onStateChange('listening')
  let open = () => {}
  state.gate = new Promise((resolve) => {
    open = resolve
  })
  listener.onChange()
  await reaches('follow', 1)
  for (let i = 0; i < 100; i += 1) listener.onChange()
  open()
  await reaches('notify', 2)
  await sleep(60)
  t.same(counts, { follow: 2, notify: 2, beat: 2, maintain: 0, sweep: 0, stop: 0 })
  t.equal(state.most, 1, 'one thing at a time')
  listener.onChange()
  await reaches('notify', 3)
})

t.test('the store is polled rarely while notifications arrive and often while they do not', async (t) => {
  const { counts, listener, reaches, logger } = follower(t, { alone: 5, told: NEVER })
  await reaches('follow', 3)
  listener.onStateChange('listening')
  await sleep(20)
  const before = counts.follow
  await sleep(60)
  t.equal(counts.follow, before)
  listener.onStateChange('lost', new Error('cut'))
  await reaches('follow', before + 3)
  listener.onStateChange('listening')
  listener.onStateChange('unable', new Error('none'))
  await reaches('follow', before + 6)
  t.same(
    logger.lines.map(({ level }) => level),
    ['info', 'warn', 'info', 'info'],
    'each is said',
  )
})

t.test(
  'the key ring is checked at once and then once a second, however many notifications arrive',
  async (t) => {
    // Ten rounds are a second of the follower's, whatever they really take.
    const { counts, listener, reaches } = follower(t, { alone: 100, told: 100 })
    listener.onStateChange('listening')
    const noise = setInterval(() => listener.onChange(), 1)
    t.teardown(() => clearInterval(noise))
    await reaches('maintain', 2)
    t.ok(counts.follow >= 11)
    t.equal(counts.sweep, 0)
  },
)

t.test('polling continues during a long pruning run, and a stop waits for that run', async (t) => {
  const { following, counts, state, reaches } = follower(t, { alone: 5, told: NEVER, sweep: 10 })
  let open = () => {}
  state.sweepGate = new Promise((resolve) => {
    open = resolve
  })
  await reaches('sweep', 1)
  await reaches('follow', counts.follow + 6)
  t.equal(counts.sweep, 1, 'one at a time')
  let stopped = false
  const stopping = following.stop().then(() => {
    stopped = true
  })
  await reaches('stop', 1)
  await sleep(5)
  t.not(stopped, true)
  open()
  await stopping
})

t.test('a failing poll is logged once as a problem, also if a notification caused it', async (t) => {
  const { following, state, listener, logger, reaches } = follower(t, { alone: NEVER, told: NEVER })
  listener.onStateChange('listening')
  state.failure = new Error('away')
  for (let i = 1; i <= 3; i += 1) {
    listener.onChange()
    await reaches('follow', i)
    await reaches('notify', i)
  }
  t.equal(following.problem(), 'the store cannot be followed')
  const errors = () => logger.lines.filter(({ level }) => level === 'error').length
  t.equal(errors(), 1)
  state.failure = undefined
  listener.onChange()
  await reaches('notify', 4)
  t.equal(following.problem(), null)
  t.equal(errors(), 1)
})

t.test('after a stop no poll starts, whatever notification arrives', async (t) => {
  const { following, counts, state, listener, heard, reaches } = follower(t, { alone: 5, told: 5 })
  let open = () => {}
  state.gate = new Promise((resolve) => {
    open = resolve
  })
  await reaches('follow', 1)
  listener.onChange()
  const stopped = following.stop()
  t.equal(counts.stop, 0, 'what is going on is waited for')
  open()
  await stopped
  t.same([heard.stopped, counts.stop], [true, 1])
  const before = { ...counts }
  listener.onChange()
  await sleep(30)
  t.same(counts, before)
})
