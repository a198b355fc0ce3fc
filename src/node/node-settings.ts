/**
 * Compares the settings of this process with those of the serving nodes. A command that computes when a rotation is safe from the
 * settings of its own shell could be wrong, because the nodes do what their settings say. Must not know what a setting means.
 */
import type { Config } from '../config/load.ts'
import { combineShared, type Difference, differences, sharedSettings, withShared } from '../config/shared.ts'
import {
  isServing,
  NODE_TIMEOUT,
  type NodeStore,
  nodeName,
  type ServingNode,
} from '../store/contracts/nodes.ts'
import { StoreUnusable } from '../store/db.ts'
import type { Clock, Logger } from '../system.ts'
import type { NodeInfo } from './heartbeat.ts'

interface NodeSettings {
  /** The configuration with the settings of the serving nodes. */
  readonly config: Config
  /** The settings of this process whose values differ from those of the nodes. */
  readonly replaced: readonly Difference[]
}

export function settingsOfNodes(config: Config, serving: readonly ServingNode[]): NodeSettings {
  if (serving.length === 0) return { config, replaced: [] }
  const settings = combineShared(serving.map((node) => node.settings))
  return {
    config: withShared(config, settings),
    replaced: differences(sharedSettings(config), settings),
  }
}

export const servingNodes = async (nodes: NodeStore, clock: Clock): Promise<ServingNode[]> =>
  (await nodes.list()).filter((node) => isServing(node, clock.now()))

interface JoinDeps {
  readonly config: Config
  readonly nodes: NodeStore
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeInfo: NodeInfo
  /** Records this node. */
  readonly record: () => Promise<void>
  /** Whether a process of this machine is running. */
  readonly isRunning: (pid: number) => boolean
}

/**
 * Registers this node, and then compares its settings with those of the other nodes, so that of two nodes that start at the same moment
 * at least one sees the other.
 * @throws {StoreUnusable} if another node has another issuer: clients and verifiers would refuse the tokens of one of them
 */
export async function joinNodes({ record, nodes, clock, config, ...deps }: JoinDeps): Promise<void> {
  const { hostname } = deps.nodeInfo
  await record()
  for (const node of await servingNodes(nodes, clock)) {
    // A node of this machine that was killed has left its row. This also covers a container that has the name and the process id of
    // its predecessor.
    const isLocal = node.hostname === hostname
    if (isLocal && (node.pid === deps.nodeInfo.pid || !deps.isRunning(node.pid))) continue
    const found = differences(sharedSettings(config), node.settings)
    const issuer = found.find(({ variable }) => variable === 'KEYTURN_ISSUER')
    if (issuer) {
      throw new StoreUnusable(
        `${nodeName(node)} serves this store with the issuer ${issuer.there}, and this node would serve ${issuer.here}: set KEYTURN_ISSUER to the same URL on all nodes, or stop the other node first; one that was killed is forgotten after ${NODE_TIMEOUT} s`,
      )
    }
    if (found.length > 0)
      deps.logger.warn({ node: nodeName(node), settings: found }, 'another node runs with other settings')
  }
}
