/** Administration on the store of this server, loaded when it is first used. Must not know who administers. */
import type { Actor } from '../admin/actor.ts'
import type { Admin } from '../admin/admin.ts'
import { type Keys, ringPolicy } from '../keys/index.ts'
import type { Base } from './base.ts'
import { servingNodes, settingsOfNodes } from './node-settings.ts'

export function adminOpener(base: Base, keys: Keys): () => Promise<(actor: Actor) => Admin> {
  /** Like a command, it takes the safer value where nodes have different settings. */
  async function keysOfNodes(): Promise<Keys> {
    const { config } = settingsOfNodes(base.config, await servingNodes(base.store.nodes, base.clock))
    return { ...keys, policy: ringPolicy(config) }
  }

  return async () => {
    const { createLocalAdmin } = await import('../admin/local.ts')
    return createLocalAdmin({ ...base, keys: keysOfNodes })
  }
}
