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
import { createGroups, type GroupAnswers, type Groups } from './groups.ts'
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
  const bounds = { maxAlone: Math.ceil(size / 2), maxWaiting: size * QUEUE, patience: timeout * 1000 }
  // A group for each text of the program.
  const readers = new Map<string, Readers>()
  const writers = new Map<string, Writers>()

  /** @param isHarmless whether the statement may be repeated after this error, although the server has not undone it */
  async function carryOut(
    text: string,
    params: readonly Param[],
    isHarmless: (error: unknown) => boolean,
  ): Promise<Rows> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connections.connect()
      try {
        const { rows } = await connections.execute(client, text, params)
        connections.release(client)
        return rows
      } catch (error) {
        connections.release(client, error)
        const again = isBusy(error) || isStalePlan(error) || isHarmless(error)
        if (attempt === MAX_ATTEMPTS || !again) throw error
      }
      await pause(attempt)
    }
  }

  /** A query changes nothing, so it is repeated if the connection is lost, unless that took the whole time limit. */
  async function read(sql: string, params: readonly Param[]): Promise<Rows> {
    try {
      return await carryOut(sql, params, isQuicklyLost)
    } catch (error) {
      throw translate(error)
    }
  }

  /**
   * A statement is a transaction of its own, so a batch of one takes one round trip instead of three. If the connection is lost without a
   * word of the server, it is not repeated, because it may have been committed.
   */
  async function write(text: string, params: readonly Param[] = []): Promise<Rows | 'refused'> {
    try {
      return await carryOut(text, params, isEndedByServer)
    } catch (error) {
      if (isRefused(error)) return 'refused'
      throw translate(error)
    }
  }

  async function writeAlone({ sql, params, expectRows }: Step): Promise<boolean> {
    if (expectRows === undefined) return (await write(sql, params)) !== 'refused'
    const rows = await write(refusing(sql, expectRows), params)
    return rows !== 'refused' && rows[0]?.changed === expectRows
  }

  const createReader = (sql: string, key: string): Readers =>
    createGroups<string, Rows>({
      alone: (value) => read(sql, [value]),
      together: (values) =>
        orAlone(async () => {
          const rows = Map.groupBy(await read(forKeys(sql, values.length), values), (row) => row[key])
          return values.map((value) => ({ answer: rows.get(value) ?? [] }))
        }),
      ...bounds,
    })

  const createWriter = (sql: string, row: RowKey): Writers =>
    createGroups<RowStep, boolean>({
      alone: writeAlone,
      together: (steps) =>
        orAlone(async () => {
          const params = steps.flatMap((step) => step.params)
          const text = forRows(sql, row, params.length / steps.length, steps.length)
          const rows = await write(text, params)
          const changed = rows === 'refused' ? '' : String(rows[0]?.changed)
          // Alone, a step waits for the row, and then finds out whether its condition holds.
          return steps.map((_, i) => (changed[i] === '1' ? { answer: true } : undefined))
        }),
      ...bounds,
    })

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
      const { sql, params, row } = step
      if (!row || !params) return writeAlone(step)
      return cached(writers, sql, () => createWriter(sql, row)).carryOut({ ...step, params })
    },
  }
}

/**
 * One item of a group can make the statement fail, for example with a text that the server cannot store, or with a row on a damaged page.
 * Then each is carried out alone, so that the others succeed. If the server is unavailable, it is so for all.
 */
async function orAlone<Answer>(work: () => Promise<GroupAnswers<Answer>>): Promise<GroupAnswers<Answer>> {
  try {
    return await work()
  } catch (error) {
    if (!isAboutRow(error)) throw error
    return []
  }
}

function cached<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const existing = map.get(key)
  if (existing !== undefined) return existing
  const created = create()
  map.set(key, created)
  return created
}
