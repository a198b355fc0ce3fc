/**
 * Adds and removes lanes of the ring, and changes the default lane. Decides whether something may be signed in a lane. Must not know
 * who signs what.
 */
import { KeyturnError } from '../errors.ts'
import type { Ring } from '../store/contracts/ring.ts'
import { ConstraintViolation } from '../store/db.ts'
import type { EpochSeconds } from '../system.ts'
import type { AlgorithmName } from './algorithms.ts'
import { lacking, namesOf, notHeldMessage } from './known-verifiers.ts'
import { encryptLane, generateLane } from './new-keys.ts'
import * as ringRules from './ring.ts'
import { findLane, type KeyChoice, type RotateDeps, readRing } from './rotate.ts'

/** A verifier may still have a cached JWKS without the active key of the lane, so nothing more may be signed with it. */
export class LaneUnsafe extends KeyturnError<'lane_unsafe'> {
  /** The time from which no verifier can have a cached JWKS without the key, judged by cache lifetimes alone. */
  readonly safeFrom: EpochSeconds
  /** Names of verifiers that last fetched a JWKS without the key. */
  readonly behind: readonly string[]
  constructor(alg: string, safeFrom: EpochSeconds, behind: readonly string[]) {
    super('lane_unsafe', notHeldMessage(`the ${alg} key`, safeFrom, behind))
    this.safeFrom = safeFrom
    this.behind = behind
  }
}

/** The lane is the default, or an API or a client uses it, so it cannot be removed. */
export class LaneInUse extends KeyturnError<'lane_in_use'> {
  constructor(alg: string) {
    super('lane_in_use', `the lane ${alg} is in use`)
  }
}

type GateDeps = Pick<RotateDeps, 'store' | 'clock' | 'policy'>

/**
 * Must be called before something is signed in a lane that was not signed there before. Known verifiers can lengthen the wait but
 * never shorten it, as for a rotation.
 * @throws {LaneNotFound | LaneUnsafe}
 */
export async function assertLaneSafe(
  { store, clock, policy }: GateDeps,
  ring: Ring,
  alg: string,
): Promise<void> {
  const lane = findLane(ring, alg)
  const now = clock.now()
  const safeFrom = ringRules.usableFrom(lane, policy)
  const known = await store.verifiers.list(now - policy.verifierCache)
  const behind = namesOf(lacking(known, lane.active.publishedIn))
  if (now < safeFrom || behind.length > 0) throw new LaneUnsafe(alg, safeFrom, behind)
}

interface Acting {
  readonly actor: string
}

/** Publishes the keys of a new lane. Does nothing if the ring has the lane. */
export async function addLane(
  deps: RotateDeps,
  alg: AlgorithmName,
  { bits, actor }: KeyChoice & Acting,
): Promise<Ring> {
  const pairs = await generateLane(deps, alg, bits)
  for (;;) {
    const ring = await readRing(deps)
    if (ringRules.laneOf(ring, alg)) return ring
    const lane = encryptLane(deps, deps.masterKeys.inUse(ring), pairs)
    const extended = ringRules.addLane(ring, lane, deps.clock.now(), deps.policy)
    if (await deps.store.ring.replace(ring, extended)) {
      deps.failpoint('lane:added')
      deps.audit('keys.lane_added', { actor, target: alg, kid: lane.active.kid })
      return extended
    }
  }
}

/**
 * From then on the lane signs what names no other lane.
 * @throws {LaneNotFound | LaneUnsafe} nothing has changed then
 */
export async function setDefaultLane(deps: RotateDeps, alg: string, { actor }: Acting): Promise<Ring> {
  for (;;) {
    const ring = await readRing(deps)
    if (ring.defaultAlg === alg) return ring
    await assertLaneSafe(deps, ring, alg)
    const changed = ringRules.setDefault(ring, alg)
    if (await deps.store.ring.replace(ring, changed)) {
      deps.failpoint('lane:default')
      deps.audit('keys.default_changed', { actor, target: alg, kid: ringRules.activeKey(changed).kid })
      return changed
    }
  }
}

/**
 * The active key of the lane leaves the JWKS when its last token has expired.
 * @throws {LaneNotFound | LaneInUse} nothing has changed then
 */
export async function removeLane(deps: RotateDeps, alg: string, { actor }: Acting): Promise<Ring> {
  for (;;) {
    const ring = await readRing(deps)
    const { active } = findLane(ring, alg)
    if (ring.defaultAlg === alg) throw new LaneInUse(alg)
    const reduced = ringRules.removeLane(ring, alg, deps.clock.now())
    const replaced = await deps.store.ring.replace(ring, reduced).catch((error) => {
      throw error instanceof ConstraintViolation ? new LaneInUse(alg) : error
    })
    if (replaced) {
      deps.failpoint('lane:removed')
      deps.audit('keys.lane_removed', { actor, target: alg, kid: active.kid })
      return reduced
    }
  }
}
