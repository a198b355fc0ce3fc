/**
 * Runs the background jobs of a node at their intervals: reading the changes of other processes, heartbeats, logout tokens, key
 * maintenance and pruning. If the store notifies the node of a change, the poller reads it immediately. Must not know what a job
 * does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { ChangeListener, Changes } from '../store/db.ts'
import type { Logger } from '../system.ts'
import type { BackgroundJobs } from './background-jobs.ts'

/** Interval between polls if the store sends no change notifications. */
export const POLL_INTERVAL_MS = 250
/** Interval between polls while requests arrive, if the store sends change notifications: a notification can be lost. */
export const BUSY_POLL_INTERVAL_MS = 750
/**
 * Interval between polls while there is no reason for one: no request arrives, and the store notifies of changes or can tell that there
 * are none. The first request polls before it is answered (staleness.ts).
 */
export const IDLE_POLL_INTERVAL_MS = 10_000
/** Pause after a poll that a notification caused, so that many notifications at once cause few polls. */
const DEBOUNCE_MS = 25
const MAINTAIN_KEYS_INTERVAL_MS = 1000
export const PRUNE_INTERVAL_MS = 60_000

type JobName = Exclude<keyof BackgroundJobs, 'stop' | 'isPollWanted'>

export interface ChangePoller {
  /** Resolves when the running jobs have finished. */
  stop(): Promise<void>
  /** Why the node cannot serve, for the log; null while polling works. */
  problem(): string | null
}

export interface ChangePollerOptions {
  /** Subscribes to change notifications; undefined if the store cannot send them. */
  readonly changes?: ((listener: ChangeListener) => Changes) | undefined
  readonly intervals?: Intervals
}

/** Milliseconds between two runs. */
interface Intervals {
  /** Without change notifications. */
  readonly poll: number
  /** With them, or after a round that had no reason to poll. */
  readonly busyPoll: number
  /** While there is no reason to poll. */
  readonly idlePoll: number
  readonly prune?: number
}

const INTERVALS: Intervals = {
  poll: POLL_INTERVAL_MS,
  busyPoll: BUSY_POLL_INTERVAL_MS,
  idlePoll: IDLE_POLL_INTERVAL_MS,
}

export function startChangePoller(
  jobs: BackgroundJobs,
  logger: Logger,
  { changes, intervals = INTERVALS }: ChangePollerOptions = {},
): ChangePoller {
  let listening = false
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let debounce: Promise<unknown> = Promise.resolve()
  let pollQueued = false
  let timer: NodeJS.Timeout | undefined
  /** How long the timer waits. */
  let waiting = 0
  // The first run maintains the keys, because a rotation may have become due while no server was running.
  let sinceMaintained = MAINTAIN_KEYS_INTERVAL_MS
  let sincePruned = 0
  let sincePolled = 0
  /** The last round had no reason to poll. */
  let quiet = false
  const prune = singleFlight(() => attempt('prune'))
  const failing = new Set<JobName>()

  async function attempt(job: JobName): Promise<void> {
    try {
      await jobs[job]()
      if (failing.delete(job)) logger.info({ job }, 'background job recovered')
    } catch (error) {
      // Logged for the first failure only, not four times a second.
      if (!failing.has(job)) logger.error({ job, err: error }, 'background job failed')
      failing.add(job)
    }
  }

  async function poll(): Promise<void> {
    sincePolled = 0
    await attempt('poll')
    await attempt('heartbeat')
    await attempt('deliverLogouts')
  }

  const isPollDue = (): boolean =>
    failing.has('poll') || sincePolled >= intervals.idlePoll || jobs.isPollWanted(listening)

  async function runDueJobs(waited: number): Promise<void> {
    sincePolled += waited
    quiet = !isPollDue()
    if (quiet) await attempt('heartbeat')
    else await poll()
    sinceMaintained += waited
    sincePruned += waited
    if (sinceMaintained >= MAINTAIN_KEYS_INTERVAL_MS) {
      sinceMaintained = 0
      await attempt('maintainKeys')
    }
    if (sincePruned >= (intervals.prune ?? PRUNE_INTERVAL_MS)) {
      sincePruned = 0
      // Pruning is not awaited, because it can take minutes after a long time without a server.
      prune()
    }
  }

  /** Runs the work after all earlier work. */
  function enqueue(work: () => Promise<void>): Promise<void> {
    running = running.then(work)
    return running
  }

  const interval = () => (listening || quiet ? intervals.busyPoll : intervals.poll)

  function schedule(): void {
    clearTimeout(timer)
    if (stopped) return
    const wait = interval()
    waiting = wait
    timer = setTimeout(() => enqueue(() => runDueJobs(wait)).finally(schedule), wait)
    timer.unref()
  }

  /** One poll covers all notifications that arrive before it starts. */
  function onChange(): void {
    if (pollQueued || stopped) return
    pollQueued = true
    enqueue(async () => {
      await debounce
      pollQueued = false
      if (stopped) return
      await poll()
      debounce = sleep(DEBOUNCE_MS)
    })
  }

  const subscription = changes?.({
    onChange,
    onStateChange(state, cause) {
      listening = state === 'listening'
      quiet = false
      const often = listening
        ? `the store is polled every ${intervals.idlePoll} ms, and every ${intervals.busyPoll} ms while requests arrive`
        : `the store is polled every ${intervals.poll} ms`
      if (listening) logger.info(`the store sends change notifications; ${often}`)
      else if (state === 'lost') logger.warn({ err: cause }, `change notifications are interrupted; ${often}`)
      else logger.info({ err: cause }, `this store sends no change notifications; ${often}`)
      // Only if it is sooner: a connection that comes and goes would put the jobs off forever.
      if (interval() < waiting) schedule()
    },
  })

  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await subscription?.stop()
      await running
      await jobs.stop()
      await prune.settled()
    },
    // Only polling counts, because a node that cannot poll cannot serve. Other failures are logged.
    problem: () => (failing.has('poll') ? 'the store cannot be polled' : null),
  }
}
