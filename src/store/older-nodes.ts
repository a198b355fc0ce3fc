/**
 * Before a step that takes something away: is there a node that would miss it? Nodes say in the store which version they are
 * (`nodes`, since migration 0006).
 */
import type { Clock } from '../system.ts'
import { NODE_TIMEOUT } from './contracts/nodes.ts'
import { type Db, StoreUnusable } from './db.ts'

/** Of versions such as 0.10.2; what comes behind a hyphen does not count. */
export function isOlder(version: string, than: string): boolean {
  const [one, other] = [numbers(version), numbers(than)]
  const different = one.findIndex((part, i) => part !== other[i])
  return different >= 0 && (one[different] ?? 0) < (other[different] ?? 0)
}

function numbers(version: string): number[] {
  const [major = 0, minor = 0, patch = 0] = (version.split('-')[0] ?? '').split('.').map(Number)
  return [major, minor, patch]
}

interface Serving {
  readonly hostname: string
  readonly pid: number
  readonly version: string
}

/** @throws {StoreUnusable} if a node serves that is older than the step allows */
export async function assertNoOlderNodes(
  db: Pick<Db, 'query'>,
  clock: Clock,
  step: { readonly name: string; readonly oldest: string },
): Promise<void> {
  if (step.oldest === '0.0.0') return
  const nodes = await db.query<Serving>(
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
