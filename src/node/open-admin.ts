/** Administration on the store of this server, loaded when it is first used. Must not know who administers. */
import type { ConcurrencyLimiter, Hashing, TaskOrigin } from '../accounts/concurrency-limiter.ts'
import type { Actor } from '../admin/actor.ts'
import type { Admin } from '../admin/admin.ts'
import { type Keys, ringPolicy } from '../keys/index.ts'
import type { Base } from './base.ts'
import { servingNodes, settingsOfNodes } from './node-settings.ts'

const ADMINISTRATION: TaskOrigin = { kind: 'password', ip: 'administration', knownLocation: true }

export function adminOpener(
  base: Base,
  keys: Keys,
  limiter: ConcurrencyLimiter,
): () => Promise<(actor: Actor) => Admin> {
  /** Like a command, it takes the safer value where nodes have different settings. */
  async function keysOfNodes(): Promise<Keys> {
    const { config } = settingsOfNodes(base.config, await servingNodes(base.store.nodes, base.clock))
    return { ...keys, policy: ringPolicy(config) }
  }

  // As one client at a known location: administrators must not wait behind strangers, nor fill the queue of the users.
  const hashing: Hashing = (work) => limiter.run(work, ADMINISTRATION)

  return async () => {
    const { createLocalAdmin } = await import('../admin/local.ts')
    return createLocalAdmin({ ...base, keys: keysOfNodes, hashing })
  }
}
