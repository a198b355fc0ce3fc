/**
 * The engine for many nodes: PostgreSQL, or what speaks its protocol. Must not know: any table.
 *
 * Batches run at READ COMMITTED: a conditional write waits for the row, looks again and counts what it finds then, so
 * that a compare-and-swap has one winner; where a condition is about another row, the batch locks that row first
 * (`Step.lock`). SERIALIZABLE would need no such care, and would answer every hot row with an abort.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient, QueryResult } from 'pg'
import { KeyturnError } from '../../errors.ts'
import {
  type BatchOptions,
  type ChangeListener,
  type Changes,
  type Db,
  type Param,
  type Step,
  StoreUnavailable,
} from '../db.ts'
import {
  isBusy,
  isConnectionLost,
  isConstantRefusal,
  isLockTimeout,
  isQueueFull,
  isStalePlan,
  isUnsupported,
  translate,
} from './errors.ts'
import { CHANNEL, listen } from './listen.ts'
import { createPool } from './pool.ts'

export interface PostgresOptions {
  /** Connections at most. */
  readonly pool?: number
  /** Seconds that a connection, the wait for one, or a statement may take. */
  readonly timeout?: number
}

/** A busy store settles within a few of these; a store that does not is not available. */
const MOST_ATTEMPTS = 8
const PAUSE_MS = 5
/** Waiting for a connection, for each there is: more would only be refused later. */
const QUEUE = 100
/** Texts that are prepared on each connection; the rest, such as migrations, comes once. */
const MOST_PREPARED = 400
const HOURS_MS = 6 * 3_600_000
/** A migration's wait for a lock, if half of what a statement may take is not shorter; and how long it lets others go first. */
const LONGEST_LOCK_MS = 2000
const PATIENT_PAUSES = 50
/** Heard when the batch is committed, and not if it is undone. */
const TELL = `SELECT pg_notify($1, '')`
/** The one place where it is asked for the time: in every other statement time is an argument. */
const NOW = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS ms'

export function openPostgres(url: string, options: PostgresOptions = {}): Db {
  const { pool: size = 10, timeout = 5 } = options
  const names = new Map<string, string>()
  const running = new Set<Promise<unknown>>()
  let opened: Promise<Pool> | undefined
  let connections: Pool | undefined
  let closing: Promise<void> | undefined
  const listeners = new Set<Changes>()
  let listening = false
  /** Until the server turns out to have no such thing. */
  let telling = true

  async function connect(): Promise<PoolClient> {
    opened ??= createPool(url, size, timeout)
    const pool = await opened
    connections = pool
    if (pool.waitingCount >= size * QUEUE)
      throw new StoreUnavailable(new Error('too many are waiting for a connection'))
    try {
      return await pool.connect()
    } catch (error) {
      throw translate(error, 'connecting')
    }
  }

  /** The same text has the same name on every connection, so that it is planned once on each. */
  function nameOf(sql: string): string | null {
    const known = names.get(sql)
    if (known !== undefined) return known
    if (names.size >= MOST_PREPARED) return null
    const name = `k${names.size}`
    names.set(sql, name)
    return name
  }

  function ask(client: PoolClient, sql: string, params: readonly Param[] = []): Promise<QueryResult> {
    const name = nameOf(sql)
    return client.query({ text: sql, values: checked(params), ...(name === null ? {} : { name }) })
  }

  async function read<Row>(sql: string, params: readonly Param[]): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      try {
        const { rows } = await ask(client, sql, params)
        client.release()
        return rows as Row[]
      } catch (error) {
        const lost = isConnectionLost(error)
        client.release(lost || isStalePlan(error) || isConstantRefusal(error))
        // Reading changes nothing, so it may be asked again.
        if (attempt === MOST_ATTEMPTS || !(lost || isBusy(error) || isStalePlan(error)))
          throw translate(error)
      }
      await pause(attempt)
    }
  }

  async function write(steps: readonly Step[], { noTimeout = false }: BatchOptions): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      const told = telling && steps.some(({ notify }) => notify)
      let phase: 'steps' | 'commit' = 'steps'
      try {
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
        const done = noTimeout ? await runSlowly(client, steps) : await runSteps(client, steps, told)
        if (done) phase = 'commit'
        await client.query(done ? 'COMMIT' : 'ROLLBACK')
        client.release()
        return done
      } catch (thrown) {
        const error = thrown instanceof CannotTell ? thrown.cause : thrown
        const lost = isConnectionLost(error)
        await giveBack(client, lost || isConstantRefusal(error) || phase === 'commit')
        // The others find out by themselves; the batch is what matters.
        const untold = thrown instanceof CannotTell || (told && phase === 'commit' && isQueueFull(error))
        if (untold) telling = false
        // Once COMMIT is on its way, only a clear refusal says that nothing was committed. What is not known is not
        // repeated: it might be done twice.
        const again = untold || isBusy(error) || (phase === 'steps' && (lost || isStalePlan(error)))
        const patient = noTimeout && isLockTimeout(error)
        if (patient) attempt = 0
        else if (attempt === MOST_ATTEMPTS || !again) throw translate(error, phase)
      }
      await pause(attempt === 0 ? PATIENT_PAUSES : attempt)
    }
  }

  /** All on their way before the first has answered: a batch costs three round trips, whatever its length. */
  async function runSteps(client: PoolClient, steps: readonly Step[], tell: boolean): Promise<boolean> {
    const asked = steps.map(({ sql, params, lock }) => ask(client, lock ? `${sql} FOR UPDATE` : sql, params))
    const answers = await Promise.allSettled(tell ? [...asked, ask(client, TELL, [CHANNEL])] : asked)
    // In their order: what comes behind a step that failed, or touched too few rows, is none the wiser.
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'rejected') {
        throw i === steps.length && isUnsupported(answer.reason)
          ? new CannotTell(answer.reason)
          : answer.reason
      }
      const must = steps[i]?.expectRows
      if (must !== undefined && answer.value.rowCount !== must) return false
    }
    return true
  }

  /**
   * For migrations: one by one, without limit of time, and nothing of them is kept on the connection. A lock is waited for in
   * short goes: behind whoever waits for a whole table, everybody else who wants it waits too, reading or writing.
   */
  async function runSlowly(client: PoolClient, steps: readonly Step[]): Promise<boolean> {
    const patient = { query_timeout: HOURS_MS }
    await client.query('SET LOCAL statement_timeout = 0')
    await client.query(`SET LOCAL lock_timeout = ${Math.min(LONGEST_LOCK_MS, timeout * 500)}`)
    for (const { sql, params = [], expectRows } of steps) {
      const { rowCount } = await client.query({ text: sql, values: checked(params), ...patient })
      if (expectRows !== undefined && rowCount !== expectRows) return false
    }
    return true
  }

  function track<T>(work: () => Promise<T>): Promise<T> {
    if (closing) return Promise.reject(new StoreUnavailable(new Error('the store is closed')))
    const promise = work()
    running.add(promise)
    const forget = () => running.delete(promise)
    promise.then(forget, forget)
    return promise
  }

  function changes(listener: ChangeListener): Changes {
    const ear = listen({
      url,
      timeout,
      async tell(channel) {
        await track(() => read(TELL, [channel]))
        telling = true
      },
      listener: {
        onChange: listener.onChange,
        onStateChange(hearing, why) {
          listening = hearing === 'listening'
          listener.onStateChange(hearing, why)
        },
      },
    })
    const one = {
      async stop() {
        listeners.delete(one)
        listening = false
        await ear.stop()
      },
    }
    listeners.add(one)
    return one
  }

  return {
    query: <Row>(sql: string, params: readonly Param[] = []) => track(() => read<Row>(sql, params)),

    batch: (steps, how = {}) => track(async () => steps.length === 0 || write(steps, how)),

    async time() {
      const [row] = await track(() => read<{ ms: number }>(NOW, []))
      return row?.ms ?? 0
    },

    pool() {
      const { totalCount = 0, idleCount = 0, waitingCount = 0 } = connections ?? {}
      const busy = totalCount - idleCount
      return { max: size, idle: idleCount, busy, waiting: waitingCount, listening }
    },

    changes,

    close() {
      closing ??= (async () => {
        await Promise.all([...listeners].map((one) => one.stop()))
        await Promise.allSettled(running)
        await (await opened?.catch(() => undefined))?.end()
      })()
      return closing
    },
  }
}

/** All steps were done, but the server has no notifications. */
class CannotTell extends KeyturnError<'notifications_unsupported'> {
  constructor(cause: unknown) {
    super('notifications_unsupported', 'the server does not support notifications', { cause })
  }
}

/** Undoes what was begun, so that the next one finds a clean connection; or throws the connection away. */
async function giveBack(client: PoolClient, broken: boolean): Promise<void> {
  if (!broken) {
    try {
      await client.query('ROLLBACK')
    } catch {
      broken = true
    }
  }
  client.release(broken)
}

/** Short, and longer each time: the other transaction needs its time to finish. */
const pause = (attempt: number): Promise<void> => sleep(PAUSE_MS * attempt)

/** The driver would make JSON of anything; what is no Param is a mistake, on every engine. */
function checked(params: readonly Param[]): Param[] {
  for (const param of params) {
    if (param !== null && typeof param !== 'string' && typeof param !== 'number') {
      throw new TypeError(`a parameter is neither text, number nor null, but ${typeof param}`)
    }
  }
  return [...params]
}
