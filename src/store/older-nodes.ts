/**
 * Refuses a contracting migration while a node that needs what the migration removes is running. The table `nodes` has the
 * version of every node.
 */
import type { Clock } from '../system.ts'
import { NODE_TIMEOUT } from './contracts/nodes.ts'
import { type Db, StoreUnusable } from './db.ts'

/** Compares versions such as 0.10.2 number by number. Anything after a hyphen is ignored. */
export function isOlder(version: string, than: string): boolean {
  const [first, second] = [numbers(version), numbers(than)]
  const index = first.findIndex((part, i) => part !== second[i])
  return index >= 0 && (first[index] ?? 0) < (second[index] ?? 0)
}

function numbers(version: string): number[] {
  const [major = 0, minor = 0, patch = 0] = (version.split('-')[0] ?? '').split('.').map(Number)
  return [major, minor, patch]
}

interface NodeRow {
  readonly hostname: string
  readonly pid: number
  readonly version: string
}

/** @throws {StoreUnusable} if a running node is older than `step.oldest` */
export async function assertNoOlderNodes(
  db: Pick<Db, 'query'>,
  clock: Clock,
  step: { readonly name: string; readonly oldest: string },
): Promise<void> {
  if (step.oldest === '0.0.0') return
  const nodes = await db.query<NodeRow>(
    'SELECT hostname, pid, version FROM nodes WHERE seen_at > $1 ORDER BY hostname, pid',
    [clock.now() - NODE_TIMEOUT],
  )
  const older = nodes.filter(({ version }) => isOlder(version, step.oldest))
  if (older.length === 0) return
  const names = older.map(({ hostname, pid, version }) => `${hostname}, pid ${pid} (${version})`)
  throw new StoreUnusable(
    `${step.name} cannot be applied while a node older than ${step.oldest} serves: ${names.join('; ')}. Upgrade or stop it first`,
  )
}
