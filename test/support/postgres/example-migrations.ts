/** Two small migrations, the second of which needs the first. */
import type { Migration } from '../../../src/store/migrate.ts'

export const step = (name: string, ...statements: string[]): Migration => ({
  name,
  checksum: `checksum of ${statements.join(';')}`,
  statements,
})

export const FIRST = step(
  '0001_first',
  'CREATE TABLE a (id TEXT PRIMARY KEY)',
  `INSERT INTO a VALUES ('one')`,
)
export const SECOND = step('0002_second', 'CREATE TABLE b (id TEXT)', `INSERT INTO b SELECT id FROM a`)
export const BOTH = [FIRST, SECOND]
