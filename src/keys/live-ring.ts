/**
 * A serving node's view of the ring: the JWKS as bytes, and the one key it signs with, always of the same
 * moment. Must not know HTTP, or what it signs.
 */
import { createHash } from 'node:crypto'
import { singleFlight, singleFlightByKey } from '../single-flight.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import type { Ring, RingKey, RingStore } from '../store/contracts/ring.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Ages, Clock, EpochSeconds, ReachFailpoint, Seconds } from '../system.ts'
import type { Sealer } from './encryption.ts'
import * as law from './ring.ts'
import { openTested } from './self-test.ts'
import type { SigningKey } from './sign-compact.ts'

/**
 * How old our view may be and still sign. A node that was frozen, or cut off from the store, must look before
 * it signs: its key may have left the JWKS.
 */
export const LEASE_MS = 10_000

/**
 * The store learns of a token's expiry before the token is signed. Noting a little more than needed makes that
 * one write a minute instead of one a token; a retiring key stays at most this much longer.
 */
const COVER_AHEAD: Seconds = 60

interface View {
  readonly ring: Ring
  readonly body: string
  readonly etag: string
  readonly signing: SigningKey
}

export interface LiveRing {
  /** Reads the ring again if it has changed; called by the change poller and whenever the view is too old. */
  sync(): Promise<void>
  ring(): Ring
  /** The JWKS as served; `cacheControl` depends on the time. */
  jwks(): { body: string; etag: string; cacheControl: string; version: number }
  /**
   * The key to sign a token with that expires at `expiresAt`; the store then knows how long the key is needed.
   * @throws {StoreUnavailable} if the view is too old and cannot be renewed, or the expiry cannot be noted
   */
  signingKey(expiresAt: EpochSeconds): Promise<SigningKey>
}

export interface LiveRingDeps {
  readonly store: { readonly ring: RingStore; readonly revisions: RevisionStore }
  readonly clock: Clock
  readonly ages: Ages
  readonly sealer: Sealer
  readonly policy: law.RingPolicy
  readonly failpoint: ReachFailpoint
}

/** @throws {SealBroken} if the master key does not open the ring */
export async function openLiveRing(deps: LiveRingDeps, first: Ring): Promise<LiveRing> {
  const { store, clock, ages, policy, failpoint } = deps
  let view = await load(first, undefined)
  // Found out now, while the operator looks, rather than when it takes over and the key before it is gone.
  await openKey(law.nextKey(first), undefined)
  let seenAt = ages.mark()
  /** kid → until when the store knows tokens of this key to live. */
  const covered = new Map<string, EpochSeconds>()
  const coverOnce = singleFlightByKey<string, boolean>()

  async function load(ring: Ring, held: SigningKey | undefined): Promise<View> {
    const body = JSON.stringify(law.jwks(ring))
    return {
      ring,
      body,
      etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
      signing: await openKey(law.activeKey(ring), held),
    }
  }

  async function openKey(active: RingKey, held: SigningKey | undefined): Promise<SigningKey> {
    if (active.kid === held?.kid) return held
    return openTested(active, deps.sealer)
  }

  async function readAgain(): Promise<void> {
    const asked = ages.mark()
    const { ring: version } = await store.revisions.read()
    if (version !== view.ring.version) {
      const ring = await store.ring.read()
      if (!ring) throw new StoreUnavailable(new Error('the key ring is gone'))
      const known = new Set(ring.keys.map((key) => key.kid))
      // The private half in memory is dropped with the view that held it.
      // A ring whose key does not open is no ring: the last good one goes on, for as long as the lease allows.
      view = await load(ring, view.signing).catch((error) => {
        throw new StoreUnavailable(error)
      })
      for (const kid of covered.keys()) if (!known.has(kid)) covered.delete(kid)
    }
    seenAt = asked
  }

  const sync = singleFlight(readAgain)

  /** One write for all who wait for the same key; false if the key is no longer published. */
  function cover(kid: string, expiresAt: EpochSeconds): Promise<boolean> {
    return coverOnce(kid, async () => {
      const until = expiresAt + COVER_AHEAD
      const published = await store.ring.extendTokensUntil(kid, until)
      if (published) covered.set(kid, Math.max(until, covered.get(kid) ?? 0))
      failpoint('cover:extended')
      return published
    })
  }

  return {
    sync,

    ring: () => view.ring,

    jwks: () => ({
      body: view.body,
      etag: view.etag,
      version: view.ring.version,
      cacheControl: law.cacheControl(view.ring, clock.now(), policy),
    }),

    async signingKey(expiresAt) {
      for (;;) {
        while (ages.since(seenAt) > LEASE_MS) await sync()
        const { signing } = view
        if ((covered.get(signing.kid) ?? 0) >= expiresAt) return signing
        if (!(await cover(signing.kid, expiresAt))) await sync()
      }
    },
  }
}
