/**
 * A contract checks what the doc comments of a store interface promise, one check for each sentence, on every engine. A
 * new aggregate is a file beside this one and a line in index.ts.
 */
import type { Test } from 'tap'
import type { Store } from '../../src/store/index.ts'

/** A database with the schema and nothing in it. */
export interface Database {
  /** Opens another connection, as another process would have; it is closed when the test ends. */
  connect(): Promise<Store>
}

/** `store` is the first connection; most checks need no other. */
type Check = (t: Test, store: Store, database: Database) => Promise<void>

export type Contract = Readonly<Record<string, Check>>

/** A new, empty database for every check. */
export type NewDatabase = (t: Test) => Promise<Database>

export function runContract(t: Test, contract: Contract, newDatabase: NewDatabase): void {
  for (const [sentence, check] of Object.entries(contract)) {
    t.test(sentence, async (t) => {
      const database = await newDatabase(t as Test)
      await check(t as Test, await database.connect(), database)
    })
  }
}

/** Makes `count` calls at the same moment, and counts those that returned true. */
export async function winners(
  count: number,
  call: (index: number) => Promise<boolean>,
): Promise<{ won: number; lost: number }> {
  const answers = await Promise.all(Array.from({ length: count }, (_, index) => call(index)))
  return {
    won: answers.filter((answer) => answer === true).length,
    lost: answers.filter((answer) => answer === false).length,
  }
}
