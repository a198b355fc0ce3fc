/**
 * What a node has in memory of the store, and how it finds out that the store has changed: with one query, or none if the engine can
 * tell that nothing was written. Must not know when to look.
 */
import type { DataKeys } from '../keys/data-keys.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import type { Registry } from '../oauth/registry.ts'
import type { StatusListCache } from '../status/status-list-cache.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import type { Db } from '../store/db.ts'
import type { EpochSeconds } from '../system.ts'
import type { ClusterClock } from './cluster-clock.ts'

export interface Views {
  /** Reads the clock of the store if that is due, and everything that has changed. */
  look(): Promise<void>
  /** Whether the engine can tell that nothing was written since the last look. Costs no query. */
  isUnchanged(): boolean
  /** When the next logout token is due, as of the last look; null if none waits. */
  logoutDueAt(): EpochSeconds | null
}

export interface ViewsDeps {
  readonly clusterClock: Pick<ClusterClock, 'poll'>
  readonly store: { readonly db: Pick<Db, 'version'>; readonly revisions: RevisionStore }
  readonly ring: Pick<LiveRing, 'sync'>
  readonly dataKeys: Pick<DataKeys, 'sync'>
  readonly registry: Pick<Registry, 'sync'>
  readonly statusLists: Pick<StatusListCache, 'sync'>
}

export function createViews(deps: ViewsDeps): Views {
  const { clusterClock, store, ring, dataKeys, registry, statusLists } = deps
  const { db, revisions } = store
  /** The version of the database before the last look. */
  let lookedAt: string | undefined
  let logoutDueAt: EpochSeconds | null = null

  return {
    async look() {
      const version = db.version?.()
      // In one turn, so that all views share the query, if there is one.
      const looked = revisions.read({ unlessUnchanged: true })
      const views = [ring, dataKeys, registry].map((view) => view.sync())
      const done = await Promise.allSettled([looked, ...views, clusterClock.poll()])
      for (const one of done) if (one.status === 'rejected') throw one.reason
      const seen = await looked
      logoutDueAt = seen.logoutDueAt
      // Status lists need the data keys.
      await statusLists.sync(seen.status)
      lookedAt = version
    },

    isUnchanged() {
      const version = db.version?.()
      return version !== undefined && version === lookedAt
    },

    logoutDueAt: () => logoutDueAt,
  }
}
