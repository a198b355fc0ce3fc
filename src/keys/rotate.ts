/**
 * Carries out the decisions of `ring.ts`: generates a key outside any transaction, then replaces the ring by compare-and-swap. A
 * node that loses a race reads the ring again. It does not fail, and it does not add a second key.
 */
import type { Audit } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import type { Ring, RingStore } from '../store/contracts/ring.ts'
import type { VerifierStore } from '../store/contracts/verifiers.ts'
import type { Clock, EpochSeconds, ReachFailpoint } from '../system.ts'
import type { AlgorithmName, GenerateKey, KeyPair } from './algorithms.ts'
import { behind, namesOf, notHeldMessage } from './known-verifiers.ts'
import type { MasterKeys } from './master-keys.ts'
import { encryptLane, encryptPair, type FirstLanes, generateLanes, generateSuccessor } from './new-keys.ts'
import * as ringRules from './ring.ts'
import { decryptAndTest } from './self-test.ts'

export interface RotateDeps {
  readonly store: { readonly ring: RingStore; readonly verifiers: Pick<VerifierStore, 'list'> }
  readonly clock: Clock
  readonly masterKeys: MasterKeys
  readonly generateKey: GenerateKey
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly policy: ringRules.RingPolicy
}

export interface KeyChoice {
  /** Size of the RSA modulus; by default that of the previous key. */
  readonly bits?: number
}

/** The lanes of a new ring. */
export interface LaneChoice extends KeyChoice {
  /** The first one is the default. */
  readonly algorithms?: readonly AlgorithmName[]
  /** These lanes, if their generation has already begun. */
  readonly firstLanes?: FirstLanes | undefined
}

/** The rotation was refused: a verifier may still have a cached JWKS without the next key. */
export class RotationUnsafe extends KeyturnError<'rotation_unsafe'> {
  /** The time from which no verifier can have a cached JWKS without the next key, judged by cache lifetimes alone. */
  readonly safeFrom: EpochSeconds
  /** Names of verifiers that last fetched a JWKS without the next key. */
  readonly behind: readonly string[]
  constructor(safeFrom: EpochSeconds, behind: readonly string[] = []) {
    super('rotation_unsafe', notHeldMessage('the next key', safeFrom, behind))
    this.safeFrom = safeFrom
    this.behind = behind
  }
}

/** The ring has no such lane. */
export class LaneNotFound extends KeyturnError<'lane_not_found'> {
  constructor(alg: string) {
    super('lane_not_found', `the key ring has no lane ${alg}`)
  }
}

/** The key is unknown, or it has left the JWKS, so it cannot be revoked. */
export class KeyNotFound extends KeyturnError<'key_not_found'> {
  constructor(kid: string) {
    super('key_not_found', `no key ${kid} is in the JWKS`)
  }
}

/** Returns the store's ring, and creates it if there is none. */
export async function ensureRing(deps: RotateDeps, choice: LaneChoice = {}): Promise<Ring> {
  const begun = choice.firstLanes?.take()
  const existing = await deps.store.ring.read()
  if (existing) return existing
  const pairs = await (begun ?? generateLanes(deps, choice.algorithms ?? [], choice.bits))
  const [masterKey] = deps.masterKeys.list()
  if (!masterKey) throw new Error('there is no master key')
  const [lane, ...lanes] = pairs.map((one) => encryptLane(deps, masterKey, one))
  if (!lane) throw new Error('a ring has at least one lane')
  const ring = ringRules.createRing([lane, ...lanes], deps.clock.now())
  if (await deps.store.ring.create(ring)) {
    deps.failpoint('start:ring')
    for (const { active } of ringRules.lanesOf(ring))
      deps.audit('keys.created', { actor: 'keyturn', kid: active.kid })
  }
  // Read again, because another node may have been first, and so that every node serves the keys in the order of the store.
  return readRing(deps)
}

export interface RotateOptions extends KeyChoice {
  /** Only these lanes; by default all. The rotation is one step: either all of them rotate, or none. */
  readonly lanes?: readonly string[]
  /** Rotates even if it is not safe. */
  readonly force?: boolean
  readonly actor: string
}

/**
 * One step in each lane: next → active → retiring, and a new next key.
 * @param seen the ring that is to be rotated; by default the store's. If another process rotates a lane first, that is its rotation.
 * @throws {LaneNotFound} if the ring has no such lane
 * @throws {RotationUnsafe} if the rotation of a lane is neither safe nor forced; nothing has changed then
 * @throws {DecryptionError | KeyMismatch} if a next key cannot sign; the active keys continue to sign
 */
export async function rotateRing(deps: RotateDeps, options: RotateOptions, seen?: Ring): Promise<Ring> {
  const first = seen ?? (await readRing(deps))
  const lanes = options.lanes ?? ringRules.laneNames(first)
  const previousKids = new Map(lanes.map((alg) => [alg, findLane(first, alg).active.kid]))
  await assertSafe(deps, first, lanes, options)
  const newPairs = new Map<string, KeyPair>()
  for (const alg of lanes) newPairs.set(alg, await generateSuccessor(deps, first, alg, options.bits))
  deps.failpoint('rotate:generated')
  for (;;) {
    const ring = await readRing(deps)
    // What another process has rotated or removed concurrently is left out: the requested rotation has happened there.
    const left = lanes.filter((alg) => ringRules.laneOf(ring, alg)?.active.kid === previousKids.get(alg))
    if (left.length === 0) return ring
    await assertSafe(deps, ring, left, options)
    for (const alg of left) await decryptAndTest(ringRules.nextKey(ring, alg), deps.masterKeys)
    const masterKey = deps.masterKeys.inUse(ring)
    const newNexts = left.flatMap((alg) => {
      const pair = newPairs.get(alg)
      return pair ? [encryptPair(deps, masterKey, pair)] : []
    })
    const rotated = ringRules.rotate(ring, newNexts, deps.clock.now())
    if (await deps.store.ring.replace(ring, rotated)) {
      deps.failpoint('rotate:committed')
      for (const alg of left) {
        deps.audit('keys.rotated', {
          actor: options.actor,
          kid: ringRules.activeKey(rotated, alg).kid,
          ...(options.force ? { reason: 'forced' } : {}),
        })
      }
      return rotated
    }
  }
}

/** @throws {LaneNotFound} */
export function findLane(ring: Ring, alg: string): ringRules.Lane {
  const lane = ringRules.laneOf(ring, alg)
  if (!lane) throw new LaneNotFound(alg)
  return lane
}

/** Known verifiers can lengthen the wait but never shorten it, because there may be unknown verifiers that fetch through a cache. */
async function assertSafe(
  deps: RotateDeps,
  ring: Ring,
  lanes: readonly string[],
  { force }: RotateOptions,
): Promise<void> {
  if (force) return
  const now = deps.clock.now()
  const behindNames = namesOf(await behind(deps.store.verifiers, ring, now, deps.policy.verifierCache, lanes))
  if (behindNames.length === 0 && ringRules.isSafe(ring, now, deps.policy, lanes)) return
  throw new RotationUnsafe(ringRules.safeFrom(ring, deps.policy, lanes), behindNames)
}

/**
 * @throws {KeyNotFound} if the key is unknown or has left the JWKS
 * @throws {DecryptionError | KeyMismatch} if the key is active and the next key cannot sign
 */
export async function revokeKey(
  deps: RotateDeps,
  kid: string,
  options: KeyChoice & { actor: string },
): Promise<Ring> {
  const first = await readRing(deps)
  const target = first.keys.find((key) => key.kid === kid)
  if (!target || !ringRules.isPublished(target)) throw new KeyNotFound(kid)
  // A retiring key already has a successor and never needs another one.
  const newPair =
    target.state === 'retiring' ? null : await generateSuccessor(deps, first, target.alg, options.bits)
  for (;;) {
    const ring = await readRing(deps)
    const current = ring.keys.find((key) => key.kid === kid)
    if (!current || !ringRules.isPublished(current)) return ring
    if (current.state === 'active')
      await decryptAndTest(ringRules.nextKey(ring, current.alg), deps.masterKeys)
    const successor =
      current.state === 'retiring' || newPair === null
        ? null
        : encryptPair(deps, deps.masterKeys.inUse(ring), newPair)
    const revoked = ringRules.revoke(ring, kid, successor, deps.clock.now())
    if (await deps.store.ring.replace(ring, revoked)) {
      deps.audit('keys.revoked', { actor: options.actor, kid })
      return revoked
    }
  }
}

/**
 * Performs the rotation or retirement that is due, unless another node was first. Returns whether the ring has changed since
 * `lastRead`.
 */
export async function maintainRing(
  deps: RotateDeps,
  lastRead: Ring,
  now: EpochSeconds = deps.clock.now(),
): Promise<boolean> {
  if (ringRules.plan(lastRead, now, deps.policy).action === 'none') return false
  // Read again, so that two nodes that find a rotation due do not both rotate, one after the other.
  const ring = await readRing(deps)
  const due = ringRules.plan(ring, now, deps.policy)
  switch (due.action) {
    case 'none':
      return true
    case 'retire':
      await retireDue(deps, ring, now)
      return true
    case 'rotate':
      // One after the other, because a verifier that is behind in one lane must not delay the others.
      for (const alg of due.lanes) {
        await rotateRing(deps, { actor: 'keyturn', lanes: [alg] }, ring).catch((error) => {
          // A verifier is behind, or the next key was replaced while its successor was generated. The next run tries again.
          if (!(error instanceof RotationUnsafe)) throw error
        })
      }
      return true
  }
}

async function retireDue(deps: RotateDeps, ring: Ring, now: EpochSeconds): Promise<void> {
  const retired = ringRules.retire(ring, now)
  if (!(await deps.store.ring.replace(ring, retired))) return
  const before = new Map(ring.keys.map(({ kid, state }) => [kid, state]))
  for (const { kid, state } of retired.keys) {
    if (state !== before.get(kid)) deps.audit('keys.retired', { actor: 'keyturn', kid })
  }
}

/** The ring of a store that has one. */
export async function readRing({ store }: Pick<RotateDeps, 'store'>): Promise<Ring> {
  const ring = await store.ring.read()
  if (!ring) throw new Error('the store has no key ring')
  return ring
}
