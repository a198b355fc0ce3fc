import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import type { Keys } from '../keys/index.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Random } from '../system.ts'

/** What verbs need; `Base` of node/base.ts has it. */
export interface LocalDeps {
  readonly store: Store
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** Opens the master key and the ring, which only verbs of `keys` need. */
  readonly keys: () => Promise<Keys>
}
