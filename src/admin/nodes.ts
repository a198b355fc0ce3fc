/** The serving nodes, as their heartbeats describe them. */
import { differences, differencesText } from '../config/shared.ts'
import { isServing, nodeName, type ServingNode } from '../store/contracts/nodes.ts'
import type { LocalDeps } from './deps.ts'
import type { NodesView, NodeView } from './nodes.schema.ts'
import { pageOf } from './page.ts'
import type { Noted, PageQuery } from './verbs.ts'

export interface NodesAdmin {
  /** Oldest start first, with those that are gone. The notes say where settings differ. */
  list(query?: PageQuery): Promise<Noted<NodesView>>
}

export function createNodesAdmin({
  store,
  clock,
  replaced,
}: Pick<LocalDeps, 'store' | 'clock' | 'replaced'>): NodesAdmin {
  return {
    async list(query = {}) {
      const [nodes, { ring }] = await Promise.all([store.nodes.list(), store.revisions.read()])
      const now = clock.now()
      const { items, next_cursor } = pageOf(
        nodes,
        query,
        ({ id }) => id,
        ({ id, hostname }) => [id, hostname],
      )
      return {
        value: {
          items: items.map(
            (node): NodeView => ({
              ...describeNode(node),
              state: isServing(node, now) ? 'serving' : 'gone',
              behind: node.ringVersion < ring,
            }),
          ),
          next_cursor,
          ring_version: ring,
        },
        revision: null,
        notes: [
          ...disagreements(nodes.filter((node) => isServing(node, now))),
          ...(replaced.length > 0 ? [differencesText(replaced)] : []),
        ],
      }
    },
  }
}

export function describeNode(node: ServingNode): Omit<NodeView, 'state' | 'behind'> {
  return {
    id: node.id,
    hostname: node.hostname,
    pid: node.pid,
    version: node.version,
    ring_version: node.ringVersion,
    master_keys: [...node.masterKeys],
    settings: node.settings,
    started_at: node.startedAt,
    seen_at: node.seenAt,
  }
}

/** One line for each setting of a node that differs from that of the first node. */
export function disagreements(serving: readonly ServingNode[]): string[] {
  const [first, ...others] = serving
  if (!first) return []
  return others.flatMap((node) =>
    differences(first.settings, node.settings).map(
      ({ variable, here, there }) =>
        `${variable} is ${here} at ${nodeName(first)} and ${there} at ${nodeName(node)}`,
    ),
  )
}
