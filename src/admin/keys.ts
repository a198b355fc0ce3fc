/** The key ring: when it rotates, and what a rotation or a revocation means for verifiers. */
import { RSA_BITS } from '../keys/algorithms.ts'
import type { Keys } from '../keys/index.ts'
import { behind, holdersAmong, namesOf } from '../keys/known-verifiers.ts'
import { activeKey, automaticRotationAt, isSafe, nextKey, safeFrom } from '../keys/ring.ts'
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
import { AdminError, invalidValue, notFound } from './errors.ts'
import { describeKeys } from './key-view.ts'
import type {
  KeyRingView,
  RevocationView,
  RevokedView,
  RotatedView,
  RotationView,
  ScenarioView,
  SimulationView,
} from './keys.schema.ts'
import { wholeKid } from './kid.ts'
import { assertRevision } from './revision.ts'
import type { Changed, Condition, Found } from './verbs.ts'

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

    async rotate({ force = false, bits } = {}, { ifMatch } = {}) {
      const choice = keyChoice(bits)
      const keys = await deps.keys()
      const seen = await ensureRing(keys)
      assertRevision(seen.version, ifMatch, 'the key ring')
      try {
        const ring = await rotateRing(keys, { ...choice, force, actor: actor.name }, seen)
        const retiring = ring.keys.filter((key) => key.state === 'retiring').map((key) => key.kid)
        return {
          value: { active: activeKey(ring).kid, next: nextKey(ring).kid, retiring },
          revision: ring.version,
          notes: [],
        }
      } catch (error) {
        if (!(error instanceof RotationUnsafe)) throw error
        const fields = { safe_from: error.safeFrom, behind: error.behind }
        throw new AdminError('rotation-unsafe', error.message, { cause: error, fields })
      }
    },

    async revoke(named, { bits } = {}, { ifMatch } = {}) {
      const choice = keyChoice(bits)
      const keys = await deps.keys()
      const seen = await ensureRing(keys)
      assertRevision(seen.version, ifMatch, 'the key ring')
      const kid = wholeKid(seen, named)
      const ring = await revokeKey(keys, kid, { ...choice, actor: actor.name }).catch((error) => {
        throw error instanceof KeyNotFound ? notFound(error.message) : error
      })
      return {
        value: {
          revoked: kid,
          active: activeKey(ring).kid,
          next: nextKey(ring).kid,
          exposed_until: clock.now() + keys.policy.verifierCache,
          held_by: await heldBy(ring, kid, keys),
        },
        revision: ring.version,
        notes: [],
      }
    },

    async simulate(scenario) {
      // Loaded here, because only this verb needs it.
      const { simulateScenario } = await import('./simulation.ts')
      return { value: await simulateScenario(deps, await deps.keys(), scenario), revision: null }
    },
  }
}

function keyChoice(bits: number | undefined): KeyChoice {
  if (bits === undefined) return {}
  if (!RSA_BITS.includes(bits)) throw invalidValue('bits', `bits must be one of ${RSA_BITS.join(', ')}`)
  return { bits }
}
