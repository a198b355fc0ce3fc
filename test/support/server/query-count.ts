import type { Db } from '../../../src/store/db.ts'
import type { Store } from '../../../src/store/index.ts'

/**
 * Counts the queries to the database from now on, reads and writes alike, the rows that it returns, the steps of each batch, and how often
 * somebody waited for an answer: queries that run at once are one wait.
 */
export function countQueries({ db }: Pick<Store, 'db'>): {
  readonly count: () => number
  readonly rows: () => number
  readonly batches: () => readonly number[]
  readonly waits: () => number
} {
  let count = 0
  let rows = 0
  const batches: number[] = []
  let waits = 0
  let running = 0
  const counted = <A extends unknown[], R extends Promise<unknown>>(verb: (...args: A) => R) => {
    return (...args: A): R => {
      count += 1
      if (running === 0) waits += 1
      running += 1
      const answer = verb(...args)
      const done = () => {
        running -= 1
      }
      answer.then(done, done)
      return answer
    }
  }
  // Every aggregate calls through this object.
  const { query } = db
  const countedRows = async (...args: Parameters<Db['query']>) => {
    const found = await query.apply(db, args)
    rows += found.length
    return found
  }
  const { batch } = db
  const countedBatch: Db['batch'] = (steps, options) => {
    batches.push(steps.length)
    return batch.call(db, steps, options)
  }
  Object.assign(db, { query: counted(countedRows), batch: counted(countedBatch) } as Partial<Db>)
  return { count: () => count, rows: () => rows, batches: () => batches, waits: () => waits }
}
