/**
 * What a database without a key ring still contains of a store that was in use. A new store, and one whose first start was
 * interrupted, contains at most one data key and a signed head of an empty audit log. Must not know why the ring is missing.
 */
import type { RingStore } from './contracts/ring.ts'
import type { Reader } from './db.ts'
import { TABLES } from './tables.ts'

/** Rows that an interrupted first start may have left, and names of algorithms, which say nothing without the ring. */
const NO_EVIDENCE: readonly string[] = ['store_identity', 'data_keys', 'ring_lanes']

/** Conditions on tables that a new store has rows in. */
const USED: Readonly<Record<string, string>> = {
  revisions: `name IN ('registry', 'status') AND value > 1 OR name = 'deletions' AND value > 0`,
  status_cursors: 'next_position > 0',
  data_keys: 'number > 1',
  // The head is signed with the first data key, which is stored before.
  audit_head: `seq > 0 OR accepted_at > 0 OR (mac IS NOT NULL AND NOT EXISTS (SELECT 1 FROM data_keys))`,
}

interface RemainsDeps {
  readonly db: Pick<Reader, 'query'>
  readonly ring: Pick<RingStore, 'read'>
}

/** Names of tables with rows that only a store with a key ring has; empty if there is a ring, or the store is new. */
export async function findRemains({ db, ring }: RemainsDeps): Promise<string[]> {
  if (await ring.read()) return []
  const remains = await tablesInUse(db)
  // Another node may have created the ring meanwhile, during its first start.
  return (await ring.read()) ? [] : remains
}

async function tablesInUse(db: Pick<Reader, 'query'>): Promise<string[]> {
  const used = Object.entries(USED).map(([name, where]) => [
    name,
    `EXISTS (SELECT 1 FROM ${name} WHERE ${where})`,
  ])
  const unseeded = TABLES.filter(({ name, seeded }) => !seeded && !NO_EVIDENCE.includes(name))
  const conditions = [
    ...unseeded.map(({ name }) => [name, `EXISTS (SELECT 1 FROM ${name})`]),
    ...used,
    // Deleting the row of the head is damage too.
    ['audit_head', 'NOT EXISTS (SELECT 1 FROM audit_head)'],
  ]
  const rows = await db.query<{ name: string }>(
    conditions.map(([name, condition]) => `SELECT '${name}' AS name WHERE ${condition}`).join(' UNION ALL '),
  )
  return rows.map(({ name }) => name)
}

const MAX_LISTED = 5

/** The names for a message. */
export function listed(remains: readonly string[]): string {
  const more = remains.length - MAX_LISTED
  return `${remains.slice(0, MAX_LISTED).join(', ')}${more > 0 ? ` and ${more} more tables` : ''}`
}
