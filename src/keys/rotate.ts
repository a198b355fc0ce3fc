/**
 * Carries out the decisions of `ring.ts`: generates a key outside any transaction, then replaces the ring by compare-and-swap. A
 * node that loses a race reads the ring again. It does not fail, and it does not add a second key.
 */
import type { Audit } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import type { Ring, RingStore } from '../store/contracts/ring.ts'
import type { VerifierStore } from '../store/contracts/verifiers.ts'
import type { Clock, EpochSeconds, ReachFailpoint } from '../system.ts'
import {
  type AlgorithmName,
  bitsOf,
  DEFAULT_ALGORITHM,
  DEFAULT_BITS,
  type GenerateKey,
  isAlgorithm,
  type KeyPair,
} from './algorithms.ts'
import { behind, namesOf } from './known-verifiers.ts'
import type { MasterKey, MasterKeys } from './master-keys.ts'
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
  readonly alg?: AlgorithmName
  /** Size of the RSA modulus; by default that of the previous key. */
  readonly bits?: number
}

/** The rotation was refused: a verifier may still have a cached JWKS without the next key. */
export class RotationUnsafe extends KeyturnError<'rotation_unsafe'> {
  /** The time from which no verifier can have a cached JWKS without the next key, judged by cache lifetimes alone. */
  readonly safeFrom: EpochSeconds
  /** Names of verifiers that last fetched a JWKS without the next key. */
  readonly behind: readonly string[]
  constructor(safeFrom: EpochSeconds, behind: readonly string[] = []) {
    const names = behind.length === 0 ? '' : `; not fetched yet by ${behind.join(', ')}`
    super(
      'rotation_unsafe',
      `a verifier may have a JWKS without the next key until ${new Date(safeFrom * 1000).toISOString()}${names}`,
    )
    this.safeFrom = safeFrom
    this.behind = behind
  }
}

/** The key is unknown, or it has left the JWKS, so it cannot be revoked. */
export class KeyNotFound extends KeyturnError<'key_not_found'> {
  constructor(kid: string) {
    super('key_not_found', `no key ${kid} is in the JWKS`)
  }
}

/** Returns the store's ring, and creates it if there is none. */
export async function ensureRing(deps: RotateDeps, choice: KeyChoice = {}): Promise<Ring> {
  const existing = await deps.store.ring.read()
  if (existing) return existing
  const [active, next] = await Promise.all([generatePair(deps, choice), generatePair(deps, choice)])
  const [masterKey] = deps.masterKeys.list()
  if (!masterKey) throw new Error('there is no master key')
  const keys = [encryptPair(deps, masterKey, active), encryptPair(deps, masterKey, next)] as const
  const ring = ringRules.createRing(...keys, deps.clock.now())
  if (await deps.store.ring.create(ring)) {
    deps.failpoint('start:ring')
    deps.audit('keys.created', { actor: 'keyturn', kid: active.kid })
  }
  // Read again, because another node may have been first, and so that every node serves the keys in the order of the store.
  return readRing(deps)
}

export interface RotateOptions extends KeyChoice {
  /** Rotates even if it is not safe. */
  readonly force?: boolean
  readonly actor: string
}

/**
 * One step: next → active → retiring, and a new next key.
 * @param seen the ring that is to be rotated; by default the store's. If another process rotates it first, that is the rotation.
 * @throws {RotationUnsafe} if the rotation is neither safe nor forced; nothing has changed then
 * @throws {DecryptionError | KeyMismatch} if the next key cannot sign; the active key continues to sign
 */
export async function rotateRing(deps: RotateDeps, options: RotateOptions, seen?: Ring): Promise<Ring> {
  const first = seen ?? (await readRing(deps))
  const previousKid = ringRules.activeKey(first).kid
  await assertSafe(deps, first, options)
  const newPair = await generatePair(deps, sameKind(first, options))
  deps.failpoint('rotate:generated')
  for (;;) {
    const ring = await readRing(deps)
    // Another process has rotated concurrently, so the requested rotation has happened.
    if (ringRules.activeKey(ring).kid !== previousKid) return ring
    await assertSafe(deps, ring, options)
    await decryptAndTest(ringRules.nextKey(ring), deps.masterKeys)
    const newKey = encryptPair(deps, deps.masterKeys.inUse(ring), newPair)
    const rotated = ringRules.rotate(ring, newKey, deps.clock.now())
    if (await deps.store.ring.replace(ring, rotated)) {
      deps.failpoint('rotate:committed')
      deps.audit('keys.rotated', {
        actor: options.actor,
        kid: ringRules.activeKey(rotated).kid,
        ...(options.force ? { reason: 'forced' } : {}),
      })
      return rotated
    }
  }
}

/** Known verifiers can lengthen the wait but never shorten it, because there may be unknown verifiers that fetch through a cache. */
async function assertSafe(deps: RotateDeps, ring: Ring, options: RotateOptions): Promise<void> {
  if (options.force) return
  const now = deps.clock.now()
  const behindNames = namesOf(await behind(deps.store.verifiers, ring, now, deps.policy.verifierCache))
  if (behindNames.length === 0 && ringRules.isSafe(ring, now, deps.policy)) return
  throw new RotationUnsafe(ringRules.safeFrom(ring, deps.policy), behindNames)
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
  const newPair = target.state === 'retiring' ? null : await generatePair(deps, sameKind(first, options))
  for (;;) {
    const ring = await readRing(deps)
    const current = ring.keys.find((key) => key.kid === kid)
    if (!current || !ringRules.isPublished(current)) return ring
    if (current.state === 'active') await decryptAndTest(ringRules.nextKey(ring), deps.masterKeys)
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
  switch (ringRules.plan(ring, now, deps.policy).action) {
    case 'none':
      return true
    case 'retire':
      await retireDue(deps, ring, now)
      return true
    case 'rotate':
      await rotateRing(deps, { actor: 'keyturn' }, ring).catch((error) => {
        // A verifier is behind, or the next key was replaced while its successor was generated. The next run tries again.
        if (!(error instanceof RotationUnsafe)) throw error
      })
      return true
  }
}

async function retireDue(deps: RotateDeps, ring: Ring, now: EpochSeconds): Promise<void> {
  const retired = ringRules.retire(ring, now)
  if (!(await deps.store.ring.replace(ring, retired))) return
  for (const { kid, state, leftAt } of retired.keys) {
    if (leftAt === now && state === 'retired') deps.audit('keys.retired', { actor: 'keyturn', kid })
  }
}

async function readRing({ store }: RotateDeps): Promise<Ring> {
  const ring = await store.ring.read()
  if (!ring) throw new Error('the store has no key ring')
  return ring
}

const generatePair = (
  { generateKey }: RotateDeps,
  { alg = DEFAULT_ALGORITHM, bits = DEFAULT_BITS }: KeyChoice,
): Promise<KeyPair> => generateKey(alg, bits)

/** @param masterKey the master key of the ring that the key is added to; it may have changed since the key was generated */
function encryptPair({ masterKeys }: RotateDeps, masterKey: MasterKey, pair: KeyPair): ringRules.NewKey {
  const { kid, alg, publicJwk, privatePem } = pair
  return {
    kid,
    alg,
    publicJwk,
    encryptedPrivateKey: masterKeys.privateKeys.encrypt(masterKey, kid, privatePem),
  }
}

/** The algorithm and the size of the next key, unless another choice is given. */
function sameKind(ring: Ring, choice: KeyChoice): KeyChoice {
  const next = ringRules.nextKey(ring)
  const bits = choice.bits ?? bitsOf(next.publicJwk)
  const alg = choice.alg ?? (isAlgorithm(next.alg) ? next.alg : DEFAULT_ALGORITHM)
  return bits === undefined ? { alg } : { alg, bits }
}
