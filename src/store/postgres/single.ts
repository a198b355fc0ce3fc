/** Queries, and batches of one step: each takes one round trip, and shares it with others if many come at once. */
import type { Param, RowKey, Step } from '../db.ts'
import { MAX_ATTEMPTS, pause } from './attempts.ts'
import { type Connections, QUEUE } from './connections.ts'
import {
  isAboutRow,
  isBusy,
  isEndedByServer,
  isQuicklyLost,
  isRefused,
  isStalePlan,
  translate,
} from './errors.ts'
import { createGroups, type Groups } from './groups.ts'
import { forKeys, forRows, refusing } from './one-statement.ts'

export interface SingleStatements {
  read<Row>(sql: string, params: readonly Param[], key?: string): Promise<Row[]>
  write(step: Step): Promise<boolean>
}

type Rows = Record<string, unknown>[]
type Readers = Groups<string, Rows>
type RowStep = Step & { readonly params: readonly Param[] }
type Writers = Groups<RowStep, boolean>

/**
 * @param size the highest number of connections
 * @param timeout seconds that waiting for others may take
 */
export function createSingleStatements(
  connections: Connections,
  size: number,
  timeout: number,
): SingleStatements {
  const half = Math.ceil(size / 2)
  const bounds = { maxTogether: half, maxAlone: half, maxWaiting: size * QUEUE, patience: timeout * 1000 }
  // One for each text of the program, and not for each value: values are parameters.
  const readers = new Map<string, Readers>()
  const writers = new Map<string, Writers>()

  /** @param mayRepeat whether the statement may be repeated after this error, although the server has not undone it */
  async function run(
    sql: string,
    params: readonly Param[],
    mayRepeat: (error: unknown) => boolean,
  ): Promise<Rows> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connections.connect()
      try {
        const { rows } = await connections.execute(client, sql, params)
        connections.release(client)
        return rows
      } catch (error) {
        connections.release(client, error)
        const again = isBusy(error) || isStalePlan(error) || mayRepeat(error)
        if (attempt === MAX_ATTEMPTS || !again) throw translate(error)
      }
      await pause(attempt)
    }
  }

  /** A query changes nothing, so it is repeated if the connection is lost, unless that took the whole time limit. */
  const read = (sql: string, params: readonly Param[]) => run(sql, params, isQuicklyLost)

  /**
   * A statement is a transaction of its own, so a batch of one takes one round trip instead of three. If the connection is lost without a
   * word of the server, it is not repeated, because it may have been committed.
   */
  const write = (sql: string, params: readonly Param[]) => run(sql, params, isEndedByServer)

  async function writeAlone({ sql, params = [], expectRows }: Step): Promise<boolean> {
    if (expectRows === undefined) return write(sql, params).then(() => true)
    try {
      const [row] = await write(refusing(sql, expectRows), params)
      return row?.changed === expectRows
    } catch (error) {
      if (isRefused(error)) return false
      throw error
    }
  }

  function createReader(sql: string, key: string): Readers {
    const textFor = forKeys(sql)
    return createGroups<string, Rows>({
      alone: (value) => read(sql, [value]),
      async together(values) {
        const rows = await nullIfOneFails(read(textFor(values.length), values))
        return rows === null ? [] : byKey(rows, key, values)
      },
      ...bounds,
    })
  }

  function createWriter(sql: string, row: RowKey): Writers {
    const { textFor, params } = forRows(sql, row)
    return createGroups<RowStep, boolean>({
      alone: writeAlone,
      async together(steps) {
        // The server says what is wrong if each is carried out alone.
        if (steps.some((step) => step.params.length !== params)) return []
        const values = steps.flatMap((step) => step.params)
        const rows = await nullIfOneFails(write(textFor(steps.length), values))
        const changed = String(rows?.[0]?.changed ?? '')
        // Alone, a step waits for the row, and then finds out whether its condition holds.
        return steps.map((_, i) => changed[i] === '1' || undefined)
      },
      ...bounds,
    })
  }

  return {
    async read<Row>(sql: string, params: readonly Param[], key?: string) {
      const [value] = params
      const isKeyed = key !== undefined && typeof value === 'string'
      const rows = await (isKeyed
        ? cached(readers, sql, () => createReader(sql, key)).carryOut(value)
        : read(sql, params))
      return rows as Row[]
    },

    write(step) {
      const { sql, params, expectRows, row } = step
      if (!row || !params || expectRows !== 1) return writeAlone(step)
      return cached(writers, sql, () => createWriter(sql, row)).carryOut({ ...step, params })
    },
  }
}

/** The rows for each of these values, in their order. Equal values share an array. */
function byKey(rows: Rows, key: string, values: readonly string[]): Rows[] {
  const found = Map.groupBy(rows, (row) => row[key])
  for (const value of found.keys()) {
    if (!values.some((one) => one === value))
      throw new Error(`${key} is not the column that the query looks for`)
  }
  return values.map((value) => found.get(value) ?? [])
}

/**
 * One item of a group can make the statement fail, for example with a text that the server cannot store, or with a row on a damaged page.
 * Then each is carried out alone, so that the others succeed. If the server is unavailable, it is so for all.
 */
async function nullIfOneFails(rows: Promise<Rows>): Promise<Rows | null> {
  try {
    return await rows
  } catch (error) {
    if (!isAboutRow(error)) throw error
    return null
  }
}

function cached<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const existing = map.get(key)
  if (existing !== undefined) return existing
  const created = create()
  map.set(key, created)
  return created
}
