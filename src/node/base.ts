/**
 * Opens what every command needs: the store, the cluster clock and the audit trail. Must not know what a server does with them.
 * `openKeys` in src/keys then opens the keys.
 */
import type { ConcurrencyLimits } from '../accounts/concurrency-limiter.ts'
import type { WriteLimits } from '../accounts/write-limiter.ts'
import type { Audit } from '../audit/events.ts'
import { type AuditTrail, createAuditTrail } from '../audit/index.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Config } from '../config/load.ts'
import type { Difference } from '../config/shared.ts'
import { type GenerateKey, generateKey } from '../keys/algorithms.ts'
import { auditKeys } from '../keys/audit-keys.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { FetchJwks } from '../oauth/client-auth/client-keys.ts'
import type { SendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import { databaseName } from '../store/database-url.ts'
import type { Db } from '../store/db.ts'
import { createStore, type OpenOptions, openDb, type Store } from '../store/index.ts'
import { ensureSchema, type MigrationMode } from '../store/migrate.ts'
import { monitorDb } from '../store/monitored-db.ts'
import {
  type Clock,
  type Logger,
  type Monotonic,
  noFailpoint,
  type Random,
  type ReachFailpoint,
  systemClock,
  systemMonotonic,
  systemRandom,
} from '../system.ts'
import { type Tracing, untraced } from '../tracing/tracing.ts'
import { type ClusterClock, createClusterClock } from './cluster-clock.ts'
import type { NodeInfo } from './heartbeat.ts'
import { servingNodes, settingsOfNodes } from './node-settings.ts'
import { createStoreRecord, type StoreRecord } from './store-record.ts'

/** Dependencies on the machine and the network. Tests replace those that they need to control. */
export interface System {
  readonly logger: Logger
  readonly clock?: Clock
  readonly monotonic?: Monotonic
  readonly random?: Random
  readonly failpoint?: ReachFailpoint
  readonly generateKey?: GenerateKey
  readonly fetchJwks?: FetchJwks
  readonly sendLogoutToken?: SendLogoutToken
  readonly hashingLimits?: ConcurrencyLimits
  readonly writeLimits?: WriteLimits
  /** Set only by `serve`: other commands do not register as nodes. */
  readonly nodeInfo?: NodeInfo
  /** Set only by `serve`. */
  readonly metrics?: Metrics
  /** Milliseconds by which each commit to an embedded database is delayed. Set only by crash tests and benchmarks of slow disks. */
  readonly flushDelay?: number
  /** Set only by `serve`, if the settings enable tracing. */
  readonly tracing?: Tracing
}

export interface Base {
  /** Commands have the shared settings of the serving nodes, if there are any. */
  readonly config: Config
  /** The settings of a command's environment whose values differ from those of the serving nodes. */
  readonly replaced: readonly Difference[]
  readonly clock: Clock
  readonly clusterClock: ClusterClock
  readonly random: Random
  readonly failpoint: ReachFailpoint
  readonly generateKey: GenerateKey
  readonly audit: Audit
  /** The copy of the audit trail in the store. */
  readonly auditLog: AuditLog
  readonly acceptAudit: AuditTrail['acceptAudit']
  /** What is recorded about the store outside the database. */
  readonly record: StoreRecord
  readonly store: Store
  /** Why the store cannot be used, for the log; null if it can. */
  readonly storeProblem: () => Promise<string | null>
}

/** Audit rows that a node keeps in memory while the store is unavailable. A command has only a few events and no limit. */
export const MAX_WAITING_EVENTS = 10_000

export const databaseOptions = (config: Config): OpenOptions => ({
  pool: config.databasePool,
  timeout: config.databaseTimeout,
})

/** @throws {StoreMissing | StoreUnusable | StoreUnavailable} */
export async function openBase(own: Config, system: System, mode: MigrationMode): Promise<Base> {
  const { random = systemRandom, failpoint = noFailpoint, logger, metrics, tracing = untraced } = system
  const db = monitorDb(
    openDb(own.databaseUrl, {
      ...databaseOptions(own),
      create: mode === 'create',
      integrityCheck: mode !== 'current',
      ...(system.nodeInfo ? { writer: { onEnd: logWriterEnd, flushDelay: system.flushDelay ?? 0 } } : {}),
    }),
  )
  function logWriterEnd(err: unknown): void {
    logger.error({ err }, 'the thread that writes to the database has ended; writing continues without it')
  }
  db.integrityChecked?.catch((err) => logger.error({ err }, 'the database is damaged: restore a backup'))
  try {
    const clusterClock = await openClusterClock(system, db)
    const { clock } = clusterClock
    const applied = await ensureSchema(db, clock, mode, databaseName(own.databaseUrl))
    if (applied.length > 0) failpoint('start:migrated')
    const tracedDb = tracing.store(db)
    const store = createStore(metrics?.timeStore(tracedDb) ?? tracedDb)
    if (mode !== 'current') await store.identity.create(random.id(), clock.now())
    // A server does what its own settings say; a command computes what the servers do.
    const { config, replaced } = settingsOfNodes(
      own,
      mode === 'current' ? await servingNodes(store.nodes, clock) : [],
    )
    const record = createStoreRecord(config)
    const { audit, auditLog, acceptAudit } = createAuditTrail({
      store,
      clock,
      random,
      logger,
      keys: auditKeys(config, store),
      anchor: record,
      stored: config.auditRetention !== null,
      maxWaiting: system.nodeInfo ? MAX_WAITING_EVENTS : Number.POSITIVE_INFINITY,
      observe: (trail) => tracing.audit(metrics?.countAudit(trail) ?? trail),
    })
    return {
      config,
      replaced,
      clock,
      clusterClock,
      random,
      failpoint,
      generateKey: system.generateKey ?? generateKey,
      audit,
      auditLog,
      acceptAudit,
      record,
      store,
      storeProblem: db.problem,
    }
  } catch (error) {
    await db.close()
    throw error
  }
}

/** Writes the remaining audit rows, and closes the store. */
export async function closeBase({ auditLog, store }: Base, logger: Logger): Promise<void> {
  await auditLog.flush('all').catch((error) => {
    // The error is not thrown, because the command has done its work and the events are in the log.
    logger.error({ err: error }, 'the last audit events could not be written to the store')
  })
  // A user without permission to write the record can still run commands; the next serving node stores the anchor.
  await auditLog.keepAnchor().catch(() => {})
  await store.db.close()
}

/** If a test sets a clock, it replaces all clocks: the machine's, the monotonic clock and the store's. */
function openClusterClock(system: System, db: Db): Promise<ClusterClock> {
  const { clock: machine = systemClock, logger } = system
  const isReal = machine === systemClock
  return createClusterClock({
    machine,
    logger,
    monotonic: system.monotonic ?? (isReal ? systemMonotonic : () => machine.now() * 1000),
    storeTime: isReal ? db.time : undefined,
  })
}
