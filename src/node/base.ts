/**
 * Opens what every process needs, from the settings: the store, and on top of it the keys. Must not know what a server does
 * with them; deps.ts does.
 */
import type { GateSize } from '../accounts/concurrency-limiter.ts'
import type { AuditKeys } from '../audit/chain.ts'
import { type Audit, createAudit } from '../audit/events.ts'
import { type AuditLog, createAuditLog } from '../audit/log.ts'
import type { Config } from '../config/load.ts'
import { type GenerateKey, generateKey } from '../keys/algorithms.ts'
import { ensureRoot, openRoot, openRoots, type Roots } from '../keys/data-keys.ts'
import { deriveKey } from '../keys/encryption.ts'
import { createMasterKey, MasterKeyProblem, masterKeyFile } from '../keys/master-key.ts'
import { createKeyHolder, type KeyHolder } from '../keys/master-keys.ts'
import type { KeyChoice, RotateDeps } from '../keys/rotate.ts'
import { ensureRing } from '../keys/rotate.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { FetchJwks } from '../oauth/client-auth/client-keys.ts'
import type { SendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import type { Db } from '../store/db.ts'
import { createStore, type OpenOptions, openDb, type Store } from '../store/index.ts'
import { ensureSchema, type MigrationMode } from '../store/migrate.ts'
import { monitorDb } from '../store/monitored-db.ts'
import {
  type Clock,
  type Logger,
  noFailpoint,
  type Random,
  type ReachFailpoint,
  type Steady,
  systemClock,
  systemRandom,
  systemSteady,
} from '../system.ts'
import { type Tracing, untraced } from '../tracing/tracing.ts'
import { keepTime, type Timekeeper } from './cluster-clock.ts'
import type { Whereabouts } from './heartbeat.ts'

/** The machine; tests replace what they need to control. */
export interface System {
  readonly logger: Logger
  readonly clock?: Clock
  readonly steady?: Steady
  readonly random?: Random
  readonly failpoint?: ReachFailpoint
  readonly generateKey?: GenerateKey
  readonly fetchJwks?: FetchJwks
  readonly sendLogoutToken?: SendLogoutToken
  readonly gateSize?: GateSize
  /** Of a serving process; commands have none, and nobody is to be told of them. */
  readonly whereabouts?: Whereabouts
  /** The same. */
  readonly metrics?: Metrics
  /** The same; only if the settings ask for it. */
  readonly tracing?: Tracing
}

export interface Base {
  readonly config: Config
  readonly clock: Clock
  readonly time: Timekeeper
  readonly random: Random
  readonly failpoint: ReachFailpoint
  readonly generateKey: GenerateKey
  readonly audit: Audit
  /** What the store keeps of it. */
  readonly auditLog: AuditLog
  readonly store: Store
  /** What keeps the store from being of use, in words for the log. */
  readonly storeProblem: () => Promise<string | null>
}

export const databaseOptions = (config: Config): OpenOptions => ({
  pool: config.databasePool,
  timeout: config.databaseTimeout,
})

/** @throws {StoreUnusable} | {StoreUnavailable} */
export async function openBase(config: Config, system: System, mode: MigrationMode): Promise<Base> {
  const {
    clock: machine = systemClock,
    random = systemRandom,
    failpoint = noFailpoint,
    logger,
    metrics,
    tracing = untraced,
  } = system
  const db = monitorDb(
    openDb(config.databaseUrl, { ...databaseOptions(config), integrityCheck: mode === 'apply' }),
  )
  db.integrityChecked?.catch((err) => logger.error({ err }, 'the database is damaged: restore a backup'))
  try {
    const time = await keepTime({ machine, logger, ...clocks(system, machine, db) })
    const { clock } = time
    const applied = await ensureSchema(db, clock, mode)
    if (applied.length > 0) failpoint('start:migrated')
    const seen = tracing.store(db)
    const store = createStore(metrics?.timeStore(seen) ?? seen)
    const makes = { random, generateKey: system.generateKey ?? generateKey }
    return {
      config,
      clock,
      time,
      ...makes,
      failpoint,
      store,
      storeProblem: db.problem,
      ...openAudit(config, system, store, clock),
    }
  } catch (error) {
    await db.close()
    throw error
  }
}

/** The end of what openBase began. */
export async function closeBase({ auditLog, store }: Base, logger: Logger): Promise<void> {
  await auditLog.flush('all').catch((error) => {
    // What was done was done, and its line is in the log.
    logger.error({ err: error }, 'the audit log in the store lacks what was done just now')
  })
  await store.db.close()
}

/** Events that wait for a store that is away, at a node; a command has none but its own. */
const MOST_WAITING = 10_000

/** A line in the log at once, and a row in the store when it suits. */
function openAudit(config: Config, system: System, store: Store, clock: Clock) {
  const { logger, metrics, tracing = untraced, whereabouts } = system
  const line = createAudit(logger)
  const auditLog = createAuditLog({
    rows: store.auditRows,
    clock,
    logger,
    keys: auditKeys(config, store),
    hasRing: async () => (await store.revisions.read()).ring > 0,
    alarm: (event, fields) => audit(event, fields),
    mostWaiting: whereabouts ? MOST_WAITING : Number.POSITIVE_INFINITY,
  })
  const both: Audit = (event, fields) => {
    line(event, fields)
    auditLog.record(event, fields)
  }
  const trail = config.auditRetention === null ? line : both
  const audit = tracing.audit(metrics?.countAudit(trail) ?? trail)
  return { audit, auditLog }
}

/** What the head of the audit log is signed with. Asked when there is something to write: most commands need no key. */
export function auditKeys(config: Config, { roots }: Pick<Store, 'roots'>): () => Promise<AuditKeys | null> {
  let holder: KeyHolder | undefined
  return async () => {
    // Read each time: what another node has signed since with a new root is ours.
    const stored = await roots.list()
    holder ??= createKeyHolder(config, systemRandom)
    const held = holder
    if (held.keys().length === 0) held.refresh()
    if (held.keys().length === 0) return null
    const keys = stored.map((root) => deriveKey(openRoot(held, root), 'keyturn/audit-head/v1'))
    const writing = keys.at(-1)
    return writing ? { writing, accepted: keys } : null
  }
}

/** A clock that a test has put in place of the machine's is the only one. */
function clocks(system: System, machine: Clock, db: Db) {
  return machine === systemClock
    ? { steady: system.steady ?? systemSteady, ask: db.time }
    : { steady: system.steady ?? (() => machine.now() * 1000), ask: undefined }
}

export interface Keys extends RotateDeps {
  readonly holder: KeyHolder
  readonly roots: Roots
  /** True if this call made the first ring. */
  readonly firstStart: boolean
}

/**
 * The master key, the root and the ring, made now if this is the first start.
 * @throws {MasterKeyProblem} never makes a new master key for a ring that was sealed with another
 * @throws {SealBroken} if the master key does not open the ring or the roots
 */
export async function openKeys(base: Base, choice: KeyChoice = {}): Promise<Keys> {
  const { config, store, random, clock, audit, failpoint, generateKey } = base
  const existing = await store.ring.read()
  const firstStart = existing === null && (await store.roots.list()).length === 0
  const holder = createKeyHolder(config, random)
  if (holder.keys().length === 0) {
    makeMasterKey()
    holder.refresh()
  }
  // Before anything is sealed: a key sealed with another master key would break the ring for every node.
  if (existing) holder.openerOf(existing)
  const rooted = { store, clock, ages: base.time.ages, random, holder, failpoint }
  await ensureRoot(rooted, existing)
  // Also before a ring is made, which nobody could use without them.
  const roots = await openRoots(rooted)
  const policy = {
    verifierCache: config.verifierCache,
    keyRotation: config.keyRotation,
    jwksMaxAge: config.jwksMaxAge,
  }
  const deps = { store, clock, sealer: holder.sealer, generateKey, audit, failpoint, policy }
  if (!existing) await base.auditLog.adopt()
  await ensureRing(deps, choice)
  return { ...deps, holder, roots, firstStart }

  function makeMasterKey(): void {
    if (!firstStart) {
      throw new MasterKeyProblem(
        `${masterKeyFile(config.keysDir)} is missing, and the database has keys that only it opens: restore it`,
      )
    }
    createMasterKey(config.keysDir, random)
    failpoint('start:master-key')
  }
}
