/**
 * A serving node's view of the ring: the JWKS as bytes and the keys that sign, always from the same version of the ring. Must
 * not know HTTP, or what is signed.
 */
import { createHash } from 'node:crypto'
import { singleFlight, singleFlightByKey } from '../single-flight.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import type { Ring, RingKey, RingStore } from '../store/contracts/ring.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Ages, Clock, EpochSeconds, ReachFailpoint, Seconds } from '../system.ts'
import type { AlgorithmName } from './algorithms.ts'
import type { MasterKeys } from './master-keys.ts'
import * as ringRules from './ring.ts'
import { decryptAndTest } from './self-test.ts'
import type { SigningKey } from './sign-compact.ts'

/**
 * How old the view may be when the node signs. A node that was frozen or cut off from the store must read the store before it
 * signs, because its key may have left the JWKS.
 */
export const LEASE_MS = 10_000

/**
 * The expiry of a token is stored before the token is signed. Storing a little more than needed makes that one write a minute
 * instead of one for each token. A retiring key stays in the JWKS at most this much longer.
 */
export const EXPIRY_MARGIN: Seconds = 60

interface View {
  readonly ring: Ring
  readonly body: string
  readonly etag: string
  /** The key of the default lane. */
  readonly signing: SigningKey
  /** The keys of all lanes, by algorithm. */
  readonly lanes: ReadonlyMap<string, SigningKey>
}

export interface LiveRing {
  /** Reads the ring again if it has changed. Called at every poll, and whenever the view is too old. */
  sync(): Promise<void>
  ring(): Ring
  /** The JWKS for responses. `cacheControl` depends on the time. */
  jwks(): { body: string; etag: string; cacheControl: string; version: number }
  /**
   * Returns the key for signing a token that expires at `expiresAt`, after that expiry has been stored with the key.
   * @param alg the lane; by default the default lane
   * @throws {StoreUnavailable} if the view is too old and cannot be renewed, the ring has no such lane, or the expiry cannot be stored
   */
  signingKey(expiresAt: EpochSeconds, alg?: string): Promise<SigningKey>
  /**
   * The algorithm of the default lane, for a token with claims that depend on its algorithm.
   * @throws {StoreUnavailable} if the view is too old and cannot be renewed
   */
  defaultAlg(): Promise<AlgorithmName>
}

export interface LiveRingDeps {
  readonly store: { readonly ring: RingStore; readonly revisions: RevisionStore }
  readonly clock: Clock
  readonly ages: Ages
  readonly masterKeys: Pick<MasterKeys, 'privateKeys'>
  readonly policy: ringRules.RingPolicy
  readonly failpoint: ReachFailpoint
}

/** @throws {DecryptionError} if the master key does not decrypt the ring */
export async function openLiveRing(deps: LiveRingDeps, first: Ring): Promise<LiveRing> {
  const { store, clock, ages, policy, failpoint } = deps
  let [view] = await Promise.all([
    load(first, new Map()),
    // A next key that does not work is reported at the start, and not when it becomes active and the old key has been erased.
    ...ringRules.lanesOf(first).map(({ next }) => importKey(next, undefined)),
  ])
  let seenAt = ages.mark()
  /** kid → the latest token expiry that is stored with the key. */
  const storedExpiry = new Map<string, EpochSeconds>()
  const storeExpiryOnce = singleFlightByKey<string, boolean>()

  async function load(ring: Ring, loaded: View['lanes']): Promise<View> {
    const body = JSON.stringify(ringRules.jwks(ring))
    const imported = ringRules.laneNames(ring).map(async (alg) => {
      return [alg, await importKey(ringRules.activeKey(ring, alg), loaded.get(alg))] as const
    })
    const lanes = new Map<string, SigningKey>(await Promise.all(imported))
    return {
      ring,
      body,
      etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
      signing: inLane(lanes, ring.defaultAlg),
      lanes,
    }
  }

  async function importKey(key: RingKey, loaded: SigningKey | undefined): Promise<SigningKey> {
    if (key.kid === loaded?.kid) return loaded
    return decryptAndTest(key, deps.masterKeys)
  }

  /**
   * A node may hear that a client or an API uses a new lane before it hears of the lane. It never signs in another lane instead. The
   * second attempt is for a call that joined a reading that had begun before the lane was stored.
   */
  async function findLane(alg: string): Promise<SigningKey> {
    for (let attempt = 0; attempt < 2 && !view.lanes.has(alg); attempt += 1) await sync()
    return inLane(view.lanes, alg)
  }

  async function reload(): Promise<void> {
    const startedAt = ages.mark()
    const { ring: version } = await store.revisions.read()
    if (version !== view.ring.version) {
      const ring = await store.ring.read()
      if (!ring) throw new StoreUnavailable(new Error('the store has no key ring'))
      const kids = new Set(ring.keys.map((key) => key.kid))
      // The private key in memory is dropped together with the view. If the new key cannot be decrypted, the node continues with
      // its last good view for as long as the lease allows.
      view = await load(ring, view.lanes).catch((error) => {
        throw new StoreUnavailable(error)
      })
      for (const kid of storedExpiry.keys()) if (!kids.has(kid)) storedExpiry.delete(kid)
    }
    seenAt = startedAt
  }

  const sync = singleFlight(reload)

  /** One write for all requests that wait for the same key. False if the key is no longer published. */
  function storeExpiry(kid: string, expiresAt: EpochSeconds): Promise<boolean> {
    return storeExpiryOnce(kid, async () => {
      const until = expiresAt + EXPIRY_MARGIN
      const published = await store.ring.extendTokensUntil(kid, until)
      if (published) storedExpiry.set(kid, Math.max(until, storedExpiry.get(kid) ?? 0))
      failpoint('ring:expiry-stored')
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
      cacheControl: ringRules.cacheControl(view.ring, clock.now(), policy),
    }),

    async signingKey(expiresAt, alg) {
      for (;;) {
        while (ages.since(seenAt) > LEASE_MS) await sync()
        const signing = alg === undefined ? view.signing : (view.lanes.get(alg) ?? (await findLane(alg)))
        if ((storedExpiry.get(signing.kid) ?? 0) >= expiresAt) return signing
        if (!(await storeExpiry(signing.kid, expiresAt))) await sync()
      }
    },

    async defaultAlg() {
      while (ages.since(seenAt) > LEASE_MS) await sync()
      return view.signing.alg
    },
  }
}

function inLane(lanes: View['lanes'], alg: string): SigningKey {
  const key = lanes.get(alg)
  if (!key) throw new StoreUnavailable(new Error(`the ring has no lane ${alg}`))
  return key
}
