import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from '../admin/admin.ts'
import type { NodeView } from '../admin/nodes.schema.ts'
import { MAX_LIMIT } from '../admin/page.ts'
import { action, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { table, time } from './output.ts'

export const nodesCommand: CommandFactory = (context) =>
  examples(
    action('nodes', 'list the serving nodes with their ring version and last heartbeat').action(
      (options: Json) => list(context, options),
    ),
    'nodes',
    'nodes --json',
  )

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async ({ nodes }) => {
    const { value, notes } = await nodes.list({ limit: MAX_LIMIT })
    const rows = value.items
    const text = table(
      ['HOST', 'PID', 'VERSION', 'RING', 'STARTED', 'LAST SEEN', 'STATE'],
      rows.map((row) => [
        row.hostname,
        row.pid,
        row.version,
        row.behind ? `${row.ring_version} (current: ${value.ring_version})` : row.ring_version,
        time(row.started_at),
        time(row.seen_at),
        row.state,
      ]),
    )
    context.print(options, rows, text)
    for (const note of notes) context.note(note)
  })
}

/** The polls take 2 seconds in total, because nodes read a new ring within about a second. */
const MAX_POLLS = 20
const POLL_INTERVAL_MS = 100

/** Waits until all serving nodes use the present version of the ring, and returns them and those that are still behind. */
export async function waitForRing({
  nodes,
}: Pick<Admin, 'nodes'>): Promise<{ serving: NodeView[]; behind: NodeView[] }> {
  for (let poll = 1; ; poll += 1) {
    const { value } = await nodes.list({ limit: MAX_LIMIT })
    const serving = value.items.filter(({ state }) => state === 'serving')
    const behind = serving.filter((node) => node.behind)
    if (behind.length === 0 || poll === MAX_POLLS) return { serving, behind }
    await sleep(POLL_INTERVAL_MS)
  }
}
