/** The rules for what a migration may do while older programs serve (docs/upgrades.md), checked on its text. */
import type { Migration } from '../../src/store/migrate.ts'

const NAME = String.raw`(?:IF (?:NOT )?EXISTS )?"?(\w+)"?`

interface Rule {
  readonly what: string
  /** Whether the statement breaks the rule; `created` are the tables that the migration creates. */
  broken(statement: string, created: ReadonlySet<string>): boolean
}

const tableOf = (statement: string, pattern: string): string | undefined =>
  new RegExp(pattern + NAME, 'i').exec(statement)?.[1]?.toLowerCase()

/** Whether the statement has this form and names a table that existed before the migration. */
const concernsOldTable = (statement: string, created: ReadonlySet<string>, pattern: string): boolean => {
  const table = tableOf(statement, pattern)
  return table !== undefined && !created.has(table)
}

const ALTER = '^ALTER TABLE (?:ONLY )?'

const RULES: readonly Rule[] = [
  {
    what: 'removes something',
    broken: (sql) => /^(DROP|TRUNCATE)\b/i.test(sql) || /^ALTER\b[\s\S]*\bDROP\b/i.test(sql),
  },
  { what: 'renames something', broken: (sql) => /^ALTER\b[\s\S]*\bRENAME\b/i.test(sql) },
  {
    what: 'changes a column',
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
    // For a default that differs from row to row, PostgreSQL rewrites the whole table under a lock.
    what: 'adds a column whose default is not a constant',
    broken: (sql, created) =>
      concernsOldTable(sql, created, ALTER) &&
      /\bDEFAULT\b/i.test(sql) &&
      !/\bDEFAULT ('[^']*'|-?\d+|NULL)(\s|$)/i.test(sql),
  },
  {
    what: 'adds a constraint to an old table that an older program may violate',
    broken: (sql, created) =>
      (concernsOldTable(sql, created, ALTER) &&
        /\b(UNIQUE|CHECK|REFERENCES|PRIMARY KEY|CONSTRAINT|EXCLUDE)\b/i.test(sql)) ||
      (/^CREATE UNIQUE INDEX/i.test(sql) && concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`)) ||
      (/^CREATE (CONSTRAINT )?TRIGGER/i.test(sql) &&
        concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`)),
  },
  {
    // CREATE INDEX CONCURRENTLY cannot run in a transaction and does not exist in SQLite.
    what: 'creates an index on an old table without IF NOT EXISTS, so that operators cannot create it beforehand',
    broken: (sql, created) =>
      /^CREATE INDEX/i.test(sql) &&
      !/^CREATE INDEX IF NOT EXISTS/i.test(sql) &&
      concernsOldTable(sql, created, String.raw`\bON (?:ONLY )?`),
  },
  {
    what: 'writes rows of an old table, and locks them until the migration ends',
    broken: (sql, created) =>
      concernsOldTable(sql, created, '^UPDATE (?:ONLY )?') ||
      concernsOldTable(sql, created, '^DELETE FROM (?:ONLY )?'),
  },
  {
    what: 'is not one of the statements known to be harmless',
    broken: (sql) =>
      !/^(CREATE (UNIQUE )?INDEX|CREATE TABLE|ALTER TABLE|INSERT INTO|UPDATE|DELETE FROM|DROP|TRUNCATE|ALTER|CREATE (CONSTRAINT )?TRIGGER)\b/i.test(
        sql,
      ),
  },
]

/** Returns how a migration harms older programs; nothing for a migration that declares that it contracts. */
export function harm({ checksum, statements }: Migration): string[] {
  if (checksum.startsWith('contract ')) return []
  const created = new Set(statements.flatMap((sql) => tableOf(sql, '^CREATE TABLE ') ?? []))
  const found = statements.flatMap((sql) =>
    RULES.filter(({ broken }) => broken(sql, created)).map(({ what }) => `${what}: ${sql.split('\n')[0]}`),
  )
  const altered = new Set(statements.flatMap((sql) => tableOf(sql, ALTER) ?? []))
  for (const table of created) altered.delete(table)
  // Each table is locked until the last statement ends, so requests for the first table wait for the second too.
  if (altered.size > 1) found.push(`locks ${altered.size} old tables at once: ${[...altered].join(', ')}`)
  return found
}
