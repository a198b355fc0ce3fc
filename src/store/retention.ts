/**
 * How long each kind of row is kept after it has expired or ended, and why. `src/node/prune.ts` deletes older rows, table by
 * table in this order; a test compares the table in docs/operations.md. The audit log's retention is the setting `auditRetention`
 * in `src/config/fields.ts`.
 */
import type { EpochSeconds, Seconds } from '../system.ts'
import type { Store } from './index.ts'

export interface Prunable {
  prune(before: EpochSeconds, limit: number): Promise<number>
}

/** The members of a store that can be pruned; each must have a row below. */
type PrunableStore = { [Name in keyof Store]: Store[Name] extends Prunable ? Name : never }[keyof Store]

interface Retention {
  readonly tables: readonly string[]
  readonly seconds: Seconds
  /**
   * Set if the table is indexed by the hour in which rows end. Then the rows of an hour are deleted when all of them may be: a sweep in
   * between would read the whole hour.
   */
  readonly hourly?: true
}

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const RETENTION = {
  // An expired code is kept only for an exact error. A used code does not expire before the session that began with it, because
  // presenting the code again ends the session (RFC 6749 §4.1.2).
  codes: { tables: ['authorization_codes'], seconds: 2 * MINUTE },
  // Sessions are kept as long as any access token of them can be valid, so that introspection still finds the session.
  clientSessions: { tables: ['client_sessions'], seconds: DAY, hourly: true },
  userSessions: { tables: ['user_sessions'], seconds: DAY, hourly: true },
  // The user of the request may still be at the login page.
  pushedRequests: { tables: ['pushed_requests'], seconds: HOUR },
  // A clock that is set back by less than this does not make a used identifier usable again.
  singleUse: { tables: ['single_use'], seconds: HOUR },
  // A clock that is set back by less than this does not make a revoked token valid again.
  revokedTokens: { tables: ['revoked_tokens'], seconds: DAY },
  status: { tables: ['status_entries', 'status_blocks', 'status_lists'], seconds: DAY },
  // Verifiers are kept for the list that operators see. A rotation waits only for verifiers seen within VERIFIER_CACHE.
  verifiers: { tables: ['verifiers'], seconds: 7 * DAY },
  // How long a killed node is listed as gone.
  nodes: { tables: ['nodes'], seconds: DAY },
  // An expired secret is refused.
  clients: { tables: ['client_secrets'], seconds: 0 },
  // A logo is stored just before its client, whose registration may fail.
  clientLogos: { tables: ['client_logos'], seconds: HOUR },
  // A full bucket is equivalent to no row.
  rateLimits: { tables: ['rate_limits'], seconds: 0 },
  knownLocations: { tables: ['known_locations'], seconds: 0 },
  // An expired link is void.
  oneTimeLinks: { tables: ['one_time_links'], seconds: 0 },
  // The key may be used for another request.
  idempotency: { tables: ['idempotent_requests'], seconds: 0 },
} as const satisfies Record<PrunableStore, Retention>

/** The names in the order of `RETENTION`. */
export const PRUNABLE = Object.keys(RETENTION) as readonly PrunableStore[]

/** The time before which rows of this table have to have ended to be deleted now. */
export function endOfRetention(name: PrunableStore, now: EpochSeconds): EpochSeconds {
  const { seconds, hourly }: Retention = RETENTION[name]
  const end = now - seconds
  return hourly ? end - (end % HOUR) : end
}
