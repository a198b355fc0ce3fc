/**
 * Runs the background jobs of a serving node, and says how often: reads what other processes have changed, records a heartbeat,
 * delivers logout tokens, maintains the keys, and prunes. Where the store notifies nodes of changes, the poller reads them at
 * once. Must not know what a job does; background-jobs.ts does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { ChangeListener, Changes } from '../store/db.ts'
import type { Logger } from '../system.ts'
import type { BackgroundJobs } from './background-jobs.ts'

/** Between two polls of a store that does not notify of changes. */
const POLL_INTERVAL_MS = 250
/** Between two polls of a store that notifies of changes, because a notification can be lost. */
export const LISTENING_POLL_INTERVAL_MS = 750
/** After the poll that follows a notification, so that many notifications at once cost a few polls. */
const DEBOUNCE_MS = 25
const MAINTAIN_KEYS_INTERVAL_MS = 1000
export const PRUNE_INTERVAL_MS = 60_000

type JobName = Exclude<keyof BackgroundJobs, 'stop'>

export interface ChangePoller {
  /** Resolves when the running jobs have ended. */
  stop(): Promise<void>
  /** null while polling works; otherwise what does not, in words. */
  problem(): string | null
}

export interface ChangePollerOptions {
  /** Subscribes to changes, where the store can notify. */
  readonly changes?: ((listener: ChangeListener) => Changes) | undefined
  /** Milliseconds between two runs. */
  readonly intervals?: {
    readonly poll: number
    readonly listeningPoll: number
    readonly prune?: number
  }
}

const INTERVALS = { poll: POLL_INTERVAL_MS, listeningPoll: LISTENING_POLL_INTERVAL_MS }

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
  // Maintains the keys right after the start, because something may have become due while no server was running.
  let sinceMaintained = MAINTAIN_KEYS_INTERVAL_MS
  let sincePruned = 0
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
    await attempt('poll')
    await attempt('heartbeat')
    await attempt('deliverLogouts')
  }

  async function round(waited: number): Promise<void> {
    await poll()
    sinceMaintained += waited
    sincePruned += waited
    if (sinceMaintained >= MAINTAIN_KEYS_INTERVAL_MS) {
      sinceMaintained = 0
      await attempt('maintainKeys')
    }
    if (sincePruned >= (intervals.prune ?? PRUNE_INTERVAL_MS)) {
      sincePruned = 0
      // Beside the other jobs: after a long time without a server it takes minutes.
      prune()
    }
  }

  /** Runs one thing after the other. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    running = running.then(work)
    return running
  }

  function schedule(): void {
    clearTimeout(timer)
    if (stopped) return
    const wait = listening ? intervals.listeningPoll : intervals.poll
    timer = setTimeout(() => inTurn(() => round(wait)).finally(schedule), wait)
    timer.unref()
  }

  /** One poll covers every notification that comes before it begins. */
  function onChange(): void {
    if (pollQueued || stopped) return
    pollQueued = true
    inTurn(async () => {
      await debounce
      pollQueued = false
      if (stopped) return
      await poll()
      debounce = sleep(DEBOUNCE_MS)
    })
  }

  const subscription = changes?.({
    onChange,
    onStateChange(state, why) {
      listening = state === 'listening'
      const interval = `the store is polled every ${listening ? intervals.listeningPoll : intervals.poll} ms`
      if (listening) logger.info(`the store notifies of changes; ${interval}`)
      else if (state === 'lost')
        logger.warn({ err: why }, `notifications of changes are interrupted; ${interval}`)
      else logger.info({ err: why }, `this store does not notify of changes; ${interval}`)
      schedule()
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
    // Only polling counts: without it the node is of no use. Other failures are for the operator to read in the log.
    problem: () => (failing.has('poll') ? 'the store cannot be polled' : null),
  }
}
