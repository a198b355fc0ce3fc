/** Waits for the serving nodes after a change of the ring, and says which do not have it. */
import type { Admin } from '../admin/admin.ts'
import { nodeName } from '../store/contracts/nodes.ts'
import type { Context } from './context.ts'
import { waitForRing } from './nodes.ts'
import { withProgress } from './progress.ts'

/** Waits for the serving nodes to sign as the new ring says; returns those that do not. */
export async function waitForNodes(context: Context, admin: Admin) {
  const work = waitForRing(admin)
  const { serving, behind } = await withProgress(context.io, () => 'waiting for the nodes …', work)
  return { nodes: serving.length, nodes_behind: behind.map(({ state, behind, ...node }) => node) }
}

export function nodeLines({
  nodes,
  nodes_behind: nodesBehind,
}: Awaited<ReturnType<typeof waitForNodes>>): string[] {
  if (nodes === 0) return []
  if (nodesBehind.length === 0)
    return [`nodes     ${nodes === 1 ? 'the only node has' : `all ${nodes} have`} switched`]
  const names = nodesBehind.map(nodeName).join(', ')
  return [
    `nodes     ${nodes - nodesBehind.length} of ${nodes} have switched; not yet: ${names}`,
    'A node that does not switch signs with the old key for at most 10 s, and then stops signing.',
  ]
}
