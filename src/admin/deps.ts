import type { Hashing } from '../accounts/concurrency-limiter.ts'
import type { AnchorRecord } from '../audit/anchor.ts'
import type { Audit } from '../audit/events.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Config } from '../config/load.ts'
import type { Difference } from '../config/shared.ts'
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
  /** The copy of the audit trail in the store. */
  readonly auditLog: Pick<AuditLog, 'flush'>
  /** What is kept about the audit log outside the database. */
  readonly record: AnchorRecord
  /** The settings of a command's environment whose values differ from those of the serving nodes. */
  readonly replaced: readonly Difference[]
  /** How new passwords and supplied secrets are hashed. */
  readonly hashing: Hashing
  /** Opens the master key and the ring, which only verbs of `keys` need. */
  readonly keys: () => Promise<Keys>
}
