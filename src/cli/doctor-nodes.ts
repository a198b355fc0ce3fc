/** Checks which nodes serve, and that their settings agree with each other and with those of the command. */

import { disagreements } from '../admin/nodes.ts'
import type { Config } from '../config/load.ts'
import { differencesText } from '../config/shared.ts'
import { servingNodes, settingsOfNodes } from '../node/node-settings.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import { nodeName } from '../store/contracts/nodes.ts'
import type { Db } from '../store/db.ts'
import { createStore } from '../store/index.ts'
import type { Clock } from '../system.ts'
import { count } from './output.ts'

/** The nodes that are serving according to their heartbeats. A node that was killed counts until it is listed as gone. */
export async function checkNodes(db: Db, clock: Clock): Promise<readonly [string, readonly ServingNode[]]> {
  const nodes = await servingNodes(createStore(db).nodes, clock)
  const names = nodes.map(nodeName)
  return [
    names.length === 0 ? 'no node serves' : `${count(names.length, 'node')}: ${names.join(', ')}`,
    nodes,
  ]
}

/** Every command computes with the settings of the servers; a server that is started here would have those of this command. */
export function checkNodeSettings(config: Config, nodes: readonly ServingNode[]): readonly [string] {
  const different = disagreements(nodes)
  if (different.length > 0) throw new Error(`${different.join('; ')}: give all nodes the same settings`)
  const { replaced } = settingsOfNodes(config, nodes)
  if (replaced.length > 0)
    throw new Error(`${differencesText(replaced)}: run commands with the settings of the servers`)
  return ['the settings of this command are those of the servers']
}
