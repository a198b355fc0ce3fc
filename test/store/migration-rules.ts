/** What a migration may do while programs of before it serve (docs/upgrades.md), read from its text. */
import type { Migration } from '../../src/store/migrate.ts'

const NAME = String.raw`(?:IF (?:NOT )?EXISTS )?"?(\w+)"?`

interface Rule {
  readonly what: string
  /** Whether this statement breaks it; `made` are the tables that the same migration makes. */
  broken(statement: string, created: ReadonlySet<string>): boolean
}

const tableOf = (statement: string, pattern: string): string | undefined =>
  new RegExp(pattern + NAME, 'i').exec(statement)?.[1]?.toLowerCase()

/** A statement of this kind about a table that was there before. */
const concernsOldTable = (statement: string, created: ReadonlySet<string>, pattern: string): boolean => {
  const table = tableOf(statement, pattern)
  return table !== undefined && !created.has(table)
}

const ALTER = '^ALTER TABLE (?:ONLY )?'

const RULES: readonly Rule[] = [
  {
    what: 'takes something away',
    broken: (sql) => /^(DROP|TRUNCATE)\b/i.test(sql) || /^ALTER\b[\s\S]*\bDROP\b/i.test(sql),
  },
  { what: 'gives something another name', broken: (sql) => /^ALTER\b[\s\S]*\bRENAME\b/i.test(sql) },
  {
    what: 'changes what is in a column',
    broken: (sql) => /^ALTER\b[\s\S]*\bALTER (COLUMN )?\w+/i.test(sql),
  },
  {
    what: 'adds a column that an older program does not fill',
    broken: (sql, created) =>
      concernsOldTable(sql, created, ALTER) &&
      /\bADD\b[\s\S]*\bNOT NULL\b/i.test(sql) &&
      !/\bDEFAULT\b/i.test(sql),
  },
  {
    // On PostgreSQL a default that differs from row to row writes the whole table anew, under a lock.
    what: 'adds a column whose default is no constant',
    broken: (sql, created) =>
      concernsOldTable(sql, created, ALTER) &&
      /\bDEFAULT\b/i.test(sql) &&
      !/\bDEFAULT ('[^']*'|-?\d+|NULL)(\s|$)/i.test(sql),
  },
  {
    what: 'forbids in an old table what an older program may do',
    broken: (sql, created) =>
      (concernsOldTable(sql, created, ALTER) &&
        /\b(UNIQUE|CHECK|REFERENCES|PRIMARY KEY|CONSTRAINT|EXCLUDE)\b/i.test(sql)) ||
      (/^CREATE UNIQUE INDEX/i.test(sql) && concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`)) ||
      (/^CREATE (CONSTRAINT )?TRIGGER/i.test(sql) &&
        concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`)),
  },
  {
    // CONCURRENTLY is not to be had in a transaction, and unknown to SQLite.
    what: 'builds an index on an old table that cannot be built beforehand (IF NOT EXISTS)',
    broken: (sql, created) =>
      /^CREATE INDEX/i.test(sql) &&
      !/^CREATE INDEX IF NOT EXISTS/i.test(sql) &&
      concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`),
  },
  {
    what: 'writes old rows, and holds them until it is done',
    broken: (sql, created) =>
      concernsOldTable(sql, created, '^UPDATE (?:ONLY )?') ||
      concernsOldTable(sql, created, '^DELETE FROM (?:ONLY )?'),
  },
  {
    what: 'is none of the statements that are known to do no harm',
    broken: (sql) =>
      !/^(CREATE (UNIQUE )?INDEX|CREATE TABLE|ALTER TABLE|INSERT INTO|UPDATE|DELETE FROM|DROP|TRUNCATE|ALTER|CREATE (CONSTRAINT )?TRIGGER)\b/i.test(
        sql,
      ),
  },
]

/** What is wrong with it for programs that serve meanwhile; nothing if it says itself that it contracts. */
export function harm({ checksum, statements }: Migration): string[] {
  if (checksum.startsWith('contract ')) return []
  const created = new Set(statements.flatMap((sql) => tableOf(sql, '^CREATE TABLE ') ?? []))
  const found = statements.flatMap((sql) =>
    RULES.filter(({ broken }) => broken(sql, created)).map(({ what }) => `${what}: ${sql.split('\n')[0]}`),
  )
  const altered = new Set(statements.flatMap((sql) => tableOf(sql, ALTER) ?? []))
  for (const table of created) altered.delete(table)
  // Each is locked until the last statement is done: those who want the first wait for the second as well.
  if (altered.size > 1) found.push(`locks ${altered.size} old tables at once: ${[...altered].join(', ')}`)
  return found
}
