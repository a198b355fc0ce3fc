/** Runs the flow tests on PostgreSQL, in shares: each is a test file with its own database server. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { startPostgres } from './postgres.ts'

const FLOWS = new URL('../../flows/', import.meta.url)
const PRELOAD = new URL('../processes/preload.js', import.meta.url).href

/** Files that make no sense on PostgreSQL, with the reason. */
const EXCLUDED: Readonly<Record<string, string>> = {
  'stolen-database.test.ts': 'searches the bytes of SQLite’s files; the rows are the same on both engines',
}

const flowFiles = (): string[] =>
  readdirSync(FLOWS)
    .filter((name) => name.endsWith('.test.ts'))
    .sort()

export async function runShare(t: Test, share: number, of: number): Promise<void> {
  const postgres = await startPostgres(t)
  const files = flowFiles().filter((name, i) => i % of === share && !(name in EXCLUDED))
  for (const name of files) {
    const file = fileURLToPath(new URL(name, FLOWS))
    // The last argument keeps its folders apart from those of a concurrent run on SQLite.
    const args = ['--import', PRELOAD, file, 'on-postgres']
    const env = { ...process.env, TEST_DATABASE: postgres.admin }
    await t.spawn(process.execPath, args, { env, bail: false }, `${name} on PostgreSQL`)
  }
}
