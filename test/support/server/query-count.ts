import type { Db } from '../../../src/store/db.ts'
import type { Store } from '../../../src/store/index.ts'

/** Counts the queries to the database from now on, reads and writes alike. */
export function countQueries({ db }: Pick<Store, 'db'>): { readonly count: () => number } {
  let count = 0
  const counted = <A extends unknown[], R>(verb: (...args: A) => R) => {
    return (...args: A): R => {
      count += 1
      return verb(...args)
    }
  }
  // Every aggregate calls through this object.
  Object.assign(db, { query: counted(db.query.bind(db)), batch: counted(db.batch.bind(db)) } as Partial<Db>)
  return { count: () => count }
}
