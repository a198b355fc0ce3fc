/**
 * Limits how many tasks run at once and how many wait. Each password hash takes processor time and tens of megabytes: without a
 * limit, a flood of logins would use up the memory, and where hashing shares threads with signing (hashing-limits.ts) block every
 * response. The queue is shared fairly among IP prefixes, so that one of them cannot block the others. Must not know what the tasks do.
 */
import { KeyturnError } from '../errors.ts'
import type { Seconds } from '../system.ts'
import { createFairQueue, type FairQueue } from './fair-queue.ts'
import { ipPrefix } from './ip-prefix.ts'

/** Too many tasks are waiting. The task was not started. */
export class Overloaded extends KeyturnError<'overloaded'> {
  readonly retryAfter: Seconds
  constructor(retryAfter: Seconds) {
    super('overloaded', 'too many requests are waiting')
    this.retryAfter = retryAfter
  }
}

interface ConcurrencyState {
  readonly running: number
  readonly waiting: number
  /** Tasks that were refused since the process started. */
  readonly refused: number
}

/** Each kind of work has its own queue, and the queues are served in turn. */
export type WorkKind = 'password' | 'client_secret'

/** Where a task comes from. Determines the order in which tasks run. */
export interface TaskOrigin {
  readonly kind: WorkKind
  /** Address of the client. IP prefixes are served in turn, and none can fill the queue. */
  readonly ip: string
  /**
   * Whether the account has been used from this IP prefix before. Such tasks have their own queue, which is served first, so that
   * strangers from any number of IP prefixes cannot delay them.
   */
  readonly knownLocation: boolean
}

export interface ConcurrencyLimiter {
  /**
   * @throws {Overloaded} if the queue is full, or if the task is removed from the queue to make room for an IP prefix with fewer
   * tasks
   */
  run<T>(work: () => Promise<T>, origin: TaskOrigin): Promise<T>
  state(): ConcurrencyState
}

/** Runs the hash of a new password or secret, when there is room for it. @throws {Overloaded} */
export type Hashing = <T>(work: () => Promise<T>) => Promise<T>

/** For a command, which has the thread pool of its process to itself. */
export const unlimited: Hashing = (work) => work()

export interface ConcurrencyLimits {
  /** How many tasks may run at once. */
  readonly running: number
  /** How many tasks of each kind may wait: this many from known locations, and this many from others. */
  readonly waiting: number
}

/**
 * If tasks wait in both queues, every fourth turn goes to a location that is not known, so that known locations cannot block all
 * others.
 */
const UNKNOWN_TURN_INTERVAL = 4

interface WaitingTask {
  start(): void
  refuse(): void
}

interface KindQueue {
  readonly known: FairQueue<WaitingTask>
  readonly unknown: FairQueue<WaitingTask>
  next(): WaitingTask | undefined
}

function createKindQueue(capacity: number, failuresFrom: (prefix: string) => number): KindQueue {
  const known = createFairQueue<WaitingTask>(capacity)
  const unknown = createFairQueue<WaitingTask>(capacity, failuresFrom)
  let turn = 0
  return {
    known,
    unknown,
    next() {
      if (known.size === 0 || unknown.size === 0) return known.shift() ?? unknown.shift()
      turn = (turn + 1) % UNKNOWN_TURN_INTERVAL
      return turn === 0 ? unknown.shift() : known.shift()
    },
  }
}

/**
 * @param failuresFrom how many attempts from an IP prefix have failed lately. Prefixes with fewer go first, so that a client or a
 *   user at a new location gets a place while guesses come from any number of prefixes that have guessed before.
 */
export function createConcurrencyLimiter(
  { running: maxRunning, waiting: maxWaiting }: ConcurrencyLimits,
  failuresFrom: (kind: WorkKind, prefix: string) => number = () => 0,
): ConcurrencyLimiter {
  let running = 0
  let refused = 0
  const queues = new Map<WorkKind, KindQueue>()

  function queueOf(kind: WorkKind): KindQueue {
    const queue = queues.get(kind) ?? createKindQueue(maxWaiting, (prefix) => failuresFrom(kind, prefix))
    queues.set(kind, queue)
    return queue
  }

  /** Moves the kind that is served to the end of the map. */
  function next(): WaitingTask | undefined {
    for (const [kind, queue] of queues) {
      const waiting = queue.next()
      if (!waiting) continue
      queues.delete(kind)
      queues.set(kind, queue)
      return waiting
    }
    return undefined
  }

  function waitForSlot({ kind, ip, knownLocation }: TaskOrigin): Promise<void> {
    return new Promise<void>((start, reject) => {
      const refuse = () => {
        refused += 1
        reject(new Overloaded(1))
      }
      const queue = queueOf(kind)[knownLocation ? 'known' : 'unknown']
      queue.push(ipPrefix(ip), { start, refuse })?.refuse()
    })
  }

  return {
    async run(work, origin) {
      if (running >= maxRunning) await waitForSlot(origin)
      else running += 1
      try {
        return await work()
      } finally {
        // The slot is passed to a waiting task without being freed, so that a new task cannot take it.
        const waiting = next()
        if (waiting) waiting.start()
        else running -= 1
      }
    },

    state() {
      let waiting = 0
      for (const { known, unknown } of queues.values()) waiting += known.size + unknown.size
      return { running, waiting, refused }
    },
  }
}
