import type { Db } from '../../../src/store/db.ts'
import type { Store } from '../../../src/store/index.ts'

/** Counts the queries to the database from now on, reads and writes alike, the rows that it returns, and the steps of each batch. */
export function countQueries({ db }: Pick<Store, 'db'>): {
  readonly count: () => number
  readonly rows: () => number
  readonly batches: () => readonly number[]
} {
  let count = 0
  let rows = 0
  const batches: number[] = []
  const counted = <A extends unknown[], R>(verb: (...args: A) => R) => {
    return (...args: A): R => {
      count += 1
      return verb(...args)
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
  return { count: () => count, rows: () => rows, batches: () => batches }
}
