import { setTimeout as sleep } from 'node:timers/promises'
import { differencesText } from '../config/shared.ts'
import type { Base } from '../node/base.ts'
import { isServing } from '../node/heartbeat.ts'
import { disagreements, servingNodes } from '../node/node-settings.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import type { Ring } from '../store/contracts/ring.ts'
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
  return context.withStore(async ({ store, clock, replaced }) => {
    const [nodes, { ring }] = await Promise.all([store.nodes.list(), store.revisions.read()])
    const rows = nodes.map((node) => ({
      ...describeNode(node),
      state: isServing(node, clock.now()) ? 'serving' : 'gone',
      behind: node.ringVersion < ring,
    }))
    const text = table(
      ['HOST', 'PID', 'VERSION', 'RING', 'STARTED', 'LAST SEEN', 'STATE'],
      rows.map((row) => [
        row.hostname,
        row.pid,
        row.version,
        row.behind ? `${row.ring_version} (current: ${ring})` : row.ring_version,
        time(row.started_at),
        time(row.seen_at),
        row.state,
      ]),
    )
    context.print(options, rows, text)
    for (const line of disagreements(nodes.filter((node) => isServing(node, clock.now())))) context.note(line)
    if (replaced.length > 0) context.note(differencesText(replaced))
  })
}

export function describeNode(node: ServingNode) {
  return {
    id: node.id,
    hostname: node.hostname,
    pid: node.pid,
    version: node.version,
    ring_version: node.ringVersion,
    master_keys: node.masterKeys,
    settings: node.settings,
    started_at: node.startedAt,
    seen_at: node.seenAt,
  }
}

/** The polls take 2 seconds in total, because nodes read a new ring within about a second. */
const MAX_POLLS = 20
const POLL_INTERVAL_MS = 100

/** Waits until all serving nodes use this version of the ring, and returns them and those that are still behind. */
export async function waitForRing(
  { store, clock }: Pick<Base, 'store' | 'clock'>,
  { version }: Pick<Ring, 'version'>,
) {
  for (let poll = 1; ; poll += 1) {
    const serving = await servingNodes(store.nodes, clock)
    const behind = serving.filter(({ ringVersion }) => ringVersion < version)
    if (behind.length === 0 || poll === MAX_POLLS) return { serving, behind }
    await sleep(POLL_INTERVAL_MS)
  }
}
