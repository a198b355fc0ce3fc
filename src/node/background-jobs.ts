/**
 * Puts together what a serving node does by the clock. Must not know when it is done; follow.ts says so.
 */
import { createResealFactors } from '../accounts/reencrypt-factors.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import { maintainRing } from '../keys/rotate.ts'
import { createRootTender } from '../keys/rotate-master-key.ts'
import type { Signer } from '../keys/signer.ts'
import { createLogoutOutbox } from '../oauth/logout/logout-outbox.ts'
import { createSendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import type { Registry } from '../oauth/registry.ts'
import { untraced } from '../tracing/tracing.ts'
import { version } from '../version.ts'
import type { Base, Keys, System } from './base.ts'
import type { Duties } from './change-poller.ts'
import { createPresence } from './heartbeat.ts'
import { sweep } from './prune.ts'

export interface DutiesDeps {
  readonly base: Base
  readonly keys: Keys
  readonly ring: LiveRing
  readonly registry: Registry
  readonly signer: Signer
  readonly system: Pick<System, 'logger' | 'sendLogoutToken' | 'tracing' | 'whereabouts'>
  readonly follow: Duties['follow']
}

export function createDuties(deps: DutiesDeps): Duties {
  const { base, keys, ring, registry, signer, system, follow } = deps
  const { config, clock, random, audit, store } = base
  const { roots } = keys
  const notices = createLogoutOutbox({
    ...store,
    registry,
    signer,
    send: (system.tracing ?? untraced).sendLogoutToken(system.sendLogoutToken ?? createSendLogoutToken()),
    clock,
    random,
    audit,
    logger: system.logger,
    issuer: config.issuer,
  })
  const presence = createPresence({
    ...store,
    ring,
    holder: keys.holder,
    clock,
    random,
    whereabouts: system.whereabouts ?? { hostname: 'localhost', pid: 0 },
    version,
  })
  let stopping = false
  const tendRoots = createRootTender({
    store,
    clock,
    audit,
    roots,
    flush: () => base.auditLog.flush('all'),
    resealFactors: createResealFactors({ ...store, roots, random }),
  })
  return {
    follow,
    async maintain() {
      if (await maintainRing(keys, ring.ring(), base.time.prudentNow())) await ring.sync()
    },
    beat: presence.beat,
    notify: notices.deliverDue,
    async sweep() {
      // Deleted audit events cannot be restored if the clock turns out to be wrong.
      const now = base.time.prudentNow()
      // With retention off, rows that an earlier setting kept have expired, those of this very second included.
      const auditEnd = config.auditRetention === null ? now + 1 : now - config.auditRetention
      await sweep(store, clock, [[base.auditLog, auditEnd]], () => stopping)
      await tendRoots()
    },
    async stop() {
      stopping = true
      await notices.stop()
      // The store may be the reason for the stop. Then it is seen to be gone a little later.
      await presence.leave().catch(() => {})
    },
  }
}
