/** The key ring: when it rotates, and what a rotation or a revocation means for verifiers. */
import { algorithms, RSA_BITS } from '../keys/algorithms.ts'
import { addLane, LaneInUse, removeLane, setDefaultLane } from '../keys/change-lanes.ts'
import type { Keys } from '../keys/index.ts'
import { behind, behindAmong, holdersAmong, namesOf } from '../keys/known-verifiers.ts'
import {
  activeKey,
  automaticRotationAt,
  isSafe,
  laneOf,
  laneRotationAt,
  lanesOf,
  nextKey,
  safeFrom,
  usableFrom,
} from '../keys/ring.ts'
import {
  ensureRing,
  type KeyChoice,
  KeyNotFound,
  RotationUnsafe,
  revokeKey,
  rotateRing,
} from '../keys/rotate.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { Actor } from './actor.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError, conflict, invalidValue, notFound } from './errors.ts'
import { describeKeys, describeLanes } from './key-view.ts'
import type {
  KeyRingView,
  LanesView,
  LaneView,
  NewLaneView,
  RevocationView,
  RevokedView,
  RotatedView,
  RotationView,
  ScenarioView,
  SimulationView,
} from './keys.schema.ts'
import { wholeKid } from './kid.ts'
import { laneRefused } from './lanes.ts'
import { assertRevision } from './revision.ts'
import { time } from './time-text.ts'
import type { Changed, Condition, Found } from './verbs.ts'

/** How many APIs, and how many clients, are named that use a lane. */
const MAX_LISTED = 10

export interface KeysAdmin {
  /** The ring now, with the version as its revision. */
  find(): Promise<Found<KeyRingView>>
  /** @throws {AdminError} rotation-unsafe, with `safe_from` and `behind`; precondition-failed */
  rotate(rotation?: RotationView, condition?: Condition): Promise<Changed<RotatedView>>
  /**
   * Removes a compromised key from the JWKS at once.
   * @param kid or its beginning
   * @throws {AdminError} not-found, conflict if several keys begin with it, precondition-failed
   */
  revoke(kid: string, revocation?: RevocationView, condition?: Condition): Promise<Changed<RevokedView>>
  /** @throws {AdminError} conflict if the ring has the lane, invalid-value, precondition-failed */
  addLane(lane: NewLaneView, condition?: Condition): Promise<Changed<LanesView>>
  /** @throws {AdminError} lane-unsafe, with `safe_from` and `behind`; conflict if the ring has no such lane; precondition-failed */
  setDefaultLane(alg: string, condition?: Condition): Promise<Changed<LanesView>>
  /** @throws {AdminError} conflict if the ring has no such lane or something uses it; precondition-failed */
  removeLane(alg: string, condition?: Condition): Promise<Changed<LanesView>>
  /** What would happen; changes nothing. @throws {AdminError} */
  simulate(scenario: ScenarioView): Promise<Found<SimulationView>>
}

export function createKeysAdmin(deps: LocalDeps, actor: Actor): KeysAdmin {
  const { store, clock } = deps

  /** Known verifiers that may have a cached JWKS with a key that has left the ring, and until when they may use it. */
  async function heldBy(ring: Ring, kid: string, { policy }: Keys): Promise<RevokedView['held_by']> {
    const known = await store.verifiers.list(clock.now() - policy.verifierCache)
    return holdersAmong(known, ring, kid).map(({ name, instance, seenAt }) => ({
      name,
      instance,
      until: seenAt + policy.verifierCache,
    }))
  }

  async function laneViews(ring: Ring, { policy }: Keys): Promise<LaneView[]> {
    const now = clock.now()
    const known = await store.verifiers.list(now - policy.verifierCache)
    return lanesOf(ring).map((lane) => {
      const notFetched = namesOf(behindAmong(known, ring, [lane.alg]))
      return {
        alg: lane.alg,
        active: lane.active.kid,
        next: lane.next.kid,
        retiring: lane.retiring.map(({ kid }) => kid),
        safe: notFetched.length === 0 && isSafe(ring, now, policy, [lane.alg]),
        safe_from: safeFrom(ring, policy, [lane.alg]),
        behind: notFetched,
        usable_from: usableFrom(lane, policy),
        next_rotation_at: laneRotationAt(ring, lane, policy),
      }
    })
  }

  /** @throws {AdminError} precondition-failed */
  async function opened(ifMatch: number | undefined): Promise<{ keys: Keys; seen: Ring }> {
    const keys = await deps.keys()
    const seen = await ensureRing(keys)
    assertRevision(seen.version, ifMatch, 'the key ring')
    return { keys, seen }
  }

  /** Says by what the lane is used. */
  async function laneInUse(alg: string, cause: LaneInUse): Promise<AdminError> {
    const ring = await store.ring.read()
    const { apis, clients } = await store.ring.usersOf(alg, MAX_LISTED)
    const users = [
      ...(ring?.defaultAlg === alg ? ['it is the default lane'] : []),
      ...(apis.length === 0 ? [] : [`it signs for the API ${apis.join(', ')}`]),
      ...(clients.length === 0 ? [] : [`it signs for the client ${clients.join(', ')}`]),
    ]
    const fields = { default: ring?.defaultAlg === alg, apis, clients }
    return new AdminError('conflict', `the lane ${alg} is in use: ${users.join('; ')}`, { cause, fields })
  }

  return {
    async find() {
      const keys = await deps.keys()
      const ring = await ensureRing(keys)
      const { policy } = keys
      const now = clock.now()
      const notFetched = namesOf(await behind(store.verifiers, ring, now, policy.verifierCache))
      return {
        value: {
          ring_version: ring.version,
          now,
          keys: describeKeys(ring),
          active: activeKey(ring).kid,
          next: nextKey(ring).kid,
          default: ring.defaultAlg,
          lanes: await laneViews(ring, keys),
          safe: notFetched.length === 0 && isSafe(ring, now, policy),
          safe_from: safeFrom(ring, policy),
          behind: notFetched,
          next_rotation_at: automaticRotationAt(ring, policy),
          verifier_cache: policy.verifierCache,
          key_rotation: policy.keyRotation,
          jwks_max_age: policy.jwksMaxAge,
        },
        revision: ring.version,
      }
    },

    async rotate({ force = false, bits, lane } = {}, { ifMatch } = {}) {
      const choice = keyChoice(bits)
      const { keys, seen } = await opened(ifMatch)
      try {
        const lanes = lane === undefined ? {} : { lanes: [lane] }
        const ring = await rotateRing(keys, { ...choice, ...lanes, force, actor: actor.name }, seen)
        const { default: _, ...value } = describeLanes(ring)
        return { value, revision: ring.version, notes: [] }
      } catch (error) {
        if (!(error instanceof RotationUnsafe)) throw laneRefused(error, lane ?? '', 'lane')
        const fields = { safe_from: error.safeFrom, behind: error.behind }
        throw new AdminError('rotation-unsafe', error.message, { cause: error, fields })
      }
    },

    async revoke(named, { bits } = {}, { ifMatch } = {}) {
      const choice = keyChoice(bits)
      const { keys, seen } = await opened(ifMatch)
      const kid = wholeKid(seen, named)
      const ring = await revokeKey(keys, kid, { ...choice, actor: actor.name }).catch((error) => {
        throw error instanceof KeyNotFound ? notFound(error.message) : error
      })
      return {
        value: {
          revoked: kid,
          active: activeKey(ring, laneOfKey(ring, kid)).kid,
          next: nextKey(ring, laneOfKey(ring, kid)).kid,
          exposed_until: clock.now() + keys.policy.verifierCache,
          held_by: await heldBy(ring, kid, keys),
        },
        revision: ring.version,
        notes: [],
      }
    },

    async addLane({ alg, bits }, { ifMatch } = {}) {
      const choice = keyChoice(bits)
      if (bits !== undefined && !algorithms[alg].sized)
        throw invalidValue('bits', `keys for ${alg} have one size only`)
      const { keys, seen } = await opened(ifMatch)
      if (laneOf(seen, alg)) throw conflict(`the key ring already has a lane ${alg}`)
      const ring = await addLane(keys, alg, { ...choice, actor: actor.name })
      const lane = laneOf(ring, alg)
      const from = lane ? usableFrom(lane, keys.policy) : null
      const notes =
        from !== null && from > clock.now()
          ? [
              `nothing can be signed in the lane ${alg} before ${time(from)}: a verifier may not have its key yet`,
            ]
          : []
      return { value: describeLanes(ring), revision: ring.version, notes }
    },

    async setDefaultLane(alg, { ifMatch } = {}) {
      const { keys } = await opened(ifMatch)
      const ring = await setDefaultLane(keys, alg, { actor: actor.name }).catch((error) => {
        throw laneRefused(error, alg)
      })
      return { value: describeLanes(ring), revision: ring.version, notes: [] }
    },

    async removeLane(alg, { ifMatch } = {}) {
      const { keys } = await opened(ifMatch)
      const ring = await removeLane(keys, alg, { actor: actor.name }).catch(async (error) => {
        throw error instanceof LaneInUse ? await laneInUse(alg, error) : laneRefused(error, alg)
      })
      return { value: describeLanes(ring), revision: ring.version, notes: [] }
    },

    async simulate(scenario) {
      // Loaded here, because only this verb needs it.
      const { simulateScenario } = await import('./simulation.ts')
      return { value: await simulateScenario(deps, await deps.keys(), scenario), revision: null }
    },
  }
}

/** The lane of a key, or the default lane if it was removed. */
function laneOfKey(ring: Ring, kid: string): string {
  const alg = ring.keys.find((key) => key.kid === kid)?.alg ?? ring.defaultAlg
  return laneOf(ring, alg) ? alg : ring.defaultAlg
}

function keyChoice(bits: number | undefined): KeyChoice {
  if (bits === undefined) return {}
  if (!RSA_BITS.includes(bits)) throw invalidValue('bits', `bits must be one of ${RSA_BITS.join(', ')}`)
  return { bits }
}
