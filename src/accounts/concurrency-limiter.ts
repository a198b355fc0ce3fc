/**
 * Limits how many tasks run at once and how many wait. Password hashing shares the thread pool with signing and takes memory by
 * the tens of megabytes: without a limit, a flood of logins would stop every other response. The waiting places are shared out,
 * so that a stranger who fills them keeps no one else out. Must not know what the tasks do.
 */
import { KeyturnError } from '../errors.ts'
import type { Seconds } from '../system.ts'
import { createFairQueue, type FairQueue } from './fair-queue.ts'
import { ipPrefix } from './ip-prefix.ts'

/** Too many tasks are waiting; nothing was done. */
export class Overloaded extends KeyturnError<'overloaded'> {
  readonly retryAfter: Seconds
  constructor(retryAfter: Seconds) {
    super('overloaded', 'too much password work is waiting')
    this.retryAfter = retryAfter
  }
}

export interface ConcurrencyState {
  readonly running: number
  readonly waiting: number
  /** Tasks refused since the start. */
  readonly refused: number
}

/** Each kind of work has waiting places of its own, and the kinds are served in turn. */
export type WorkKind = 'password' | 'client_secret'

/** Where a task comes from, which decides when its turn is. */
export interface TaskOrigin {
  readonly kind: WorkKind
  /** Address of the client. IP prefixes are served in turn, and none can fill the queue. */
  readonly ip: string
  /**
   * Whether the account has been used from this IP prefix before. Such tasks have waiting places of their own and are served
   * first, so that strangers from any number of IP prefixes cannot delay them.
   */
  readonly knownLocation: boolean
}

export interface ConcurrencyLimiter {
  /** @throws {Overloaded} if there is no place in the queue, or if the place goes to an IP prefix that has fewer */
  run<T>(work: () => Promise<T>, origin: TaskOrigin): Promise<T>
  state(): ConcurrencyState
}

export interface ConcurrencyLimits {
  /** Tasks that run at once. */
  readonly running: number
  /** Tasks of each kind that wait, from known locations and from others alike. */
  readonly waiting: number
}

/** If both wait, one turn in so many goes to a location that is not known, so that the known ones cannot stop all others. */
const TURNS = 4

interface Waiting {
  start(): void
  refuse(): void
}

interface KindQueue {
  readonly known: FairQueue<Waiting>
  readonly unknown: FairQueue<Waiting>
  next(): Waiting | undefined
}

function createKindQueue(capacity: number): KindQueue {
  const known = createFairQueue<Waiting>(capacity)
  const unknown = createFairQueue<Waiting>(capacity)
  let turn = 0
  return {
    known,
    unknown,
    next() {
      if (known.size === 0 || unknown.size === 0) return known.shift() ?? unknown.shift()
      turn = (turn + 1) % TURNS
      return turn === 0 ? unknown.shift() : known.shift()
    },
  }
}

export function createConcurrencyLimiter({
  running: limit,
  waiting: room,
}: ConcurrencyLimits): ConcurrencyLimiter {
  let running = 0
  let refused = 0
  const queues = new Map<WorkKind, KindQueue>()

  function queueOf(kind: WorkKind): KindQueue {
    const found = queues.get(kind) ?? createKindQueue(room)
    queues.set(kind, found)
    return found
  }

  /** The kind that was served goes to the end of the map. */
  function next(): Waiting | undefined {
    for (const [kind, queue] of queues) {
      const waiting = queue.next()
      if (!waiting) continue
      queues.delete(kind)
      queues.set(kind, queue)
      return waiting
    }
    return undefined
  }

  function turn({ kind, ip, knownLocation }: TaskOrigin): Promise<void> {
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
      if (running >= limit) await turn(origin)
      else running += 1
      try {
        return await work()
      } finally {
        // The place is handed over rather than given up, so that no newcomer can take it before those that wait.
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
