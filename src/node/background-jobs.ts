/**
 * Creates the background jobs of a node. Must not know when a job is run: change-poller.ts runs the jobs and has their intervals. A
 * new job needs a member of `BackgroundJobs`, its implementation below, and a line in change-poller.ts.
 */
import { createReencryptFactors } from '../accounts/reencrypt-factors.ts'
import { sharedSettings } from '../config/shared.ts'
import type { Keys } from '../keys/index.ts'
import type { KnownVerifiers } from '../keys/known-verifiers.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import { maintainRing } from '../keys/rotate.ts'
import { createPruneDataKeys } from '../keys/rotate-master-key.ts'
import type { Signer } from '../keys/signer.ts'
import type { SecretUses } from '../oauth/client-auth/secret-uses.ts'
import { createLogoutOutbox } from '../oauth/logout/logout-outbox.ts'
import { createSendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import type { Registry } from '../oauth/registry.ts'
import { untraced } from '../tracing/tracing.ts'
import { version } from '../version.ts'
import type { Base, System } from './base.ts'
import { createHeartbeat } from './heartbeat.ts'
import { prune } from './prune.ts'
import type { Views } from './views.ts'

export interface BackgroundJobs {
  /** Reads what has changed in the store. */
  poll(): Promise<void>
  /**
   * Whether there is a reason to poll now: requests use the view, a logout token is due, or something may have been written.
   * @param notifies whether the store would have notified of a change
   */
  isPollWanted(notifies: boolean): boolean
  /** Records in the store that this node is alive, if that is due. */
  heartbeat(): Promise<void>
  /** Starts delivering the logout tokens that are due, without waiting for the deliveries. */
  deliverLogouts(): Promise<void>
  /** Rotates and retires signing keys that are due. */
  maintainKeys(): Promise<void>
  /** Deletes expired rows in small batches. Stops early when `stop` is called. */
  prune(): Promise<void>
  /** Stops deliveries and pruning, and removes the node from the list of nodes. */
  stop(): Promise<void>
}

export interface BackgroundJobsDeps {
  readonly base: Base
  readonly keys: Keys
  readonly ring: LiveRing
  readonly registry: Registry
  readonly signer: Signer
  readonly knownVerifiers: Pick<KnownVerifiers, 'flush'>
  readonly secretUses: Pick<SecretUses, 'flush'>
  readonly system: Pick<System, 'logger' | 'sendLogoutToken' | 'tracing' | 'nodeInfo'>
  readonly views: Pick<Views, 'logoutDueAt' | 'isUnchanged'>
  /** When a view is too old: staleness.ts. */
  readonly staleness: { readonly poll: () => Promise<void>; readonly inUse: () => boolean }
}

export function createBackgroundJobs(deps: BackgroundJobsDeps): BackgroundJobs {
  const { base, keys, ring, registry, signer, knownVerifiers, secretUses, system, views, staleness } = deps
  const { config, clock, clusterClock, random, audit, auditLog, store } = base
  const { logger, tracing = untraced } = system
  const { dataKeys } = keys
  const outbox = createLogoutOutbox({
    logoutOutbox: store.logoutOutbox,
    registry,
    signer,
    send: tracing.sendLogoutToken(system.sendLogoutToken ?? createSendLogoutToken()),
    clock,
    random,
    audit,
    logger,
    issuer: config.issuer,
  })
  const heartbeat = createHeartbeat({
    nodes: store.nodes,
    ring,
    masterKeys: keys.masterKeys,
    clock,
    random,
    nodeInfo: system.nodeInfo ?? { hostname: 'localhost', pid: 0 },
    version,
    settings: sharedSettings(config),
  })
  const pruneDataKeys = createPruneDataKeys({
    store,
    clock,
    audit,
    dataKeys,
    flush: () => auditLog.flush('all'),
    reencryptFactors: createReencryptFactors({ factors: store.factors, dataKeys, random }),
  })
  let stopping = false

  function isLogoutDue(): boolean {
    const dueAt = views.logoutDueAt()
    return dueAt !== null && dueAt <= clock.now()
  }

  return {
    async poll() {
      await staleness.poll()
      await knownVerifiers.flush()
      await secretUses.flush()
    },
    isPollWanted: (notifies) => staleness.inUse() || isLogoutDue() || !(notifies || views.isUnchanged()),
    async heartbeat() {
      // Nodes report the master keys that they have.
      keys.masterKeys.refresh()
      await heartbeat.beat()
    },
    async deliverLogouts() {
      if (isLogoutDue()) await outbox.deliverDue()
    },
    async maintainKeys() {
      if (await maintainRing(keys, ring.ring(), clusterClock.conservativeNow())) await ring.sync()
    },
    async prune() {
      const retention = config.auditRetention
      // With retention off, all rows that were written under an earlier setting are deleted. Otherwise the conservative time
      // applies, because deleted rows cannot be restored if the clock was wrong.
      const pruneAuditBefore =
        retention === null ? Number.POSITIVE_INFINITY : clusterClock.conservativeNow() - retention
      await prune(store, clock, [[auditLog, pruneAuditBefore]], () => stopping)
      await pruneDataKeys()
    },
    async stop() {
      stopping = true
      await outbox.stop()
      // The store may be unreachable. Then the node is listed until its heartbeat times out.
      await heartbeat.leave().catch(() => {})
    },
  }
}
