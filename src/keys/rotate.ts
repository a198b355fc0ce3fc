/**
 * Carries out what `ring.ts` decides: generates a key outside any transaction, then compares and swaps. A node that loses a
 * race reads the ring again; it does not fail, and it does not add a second key for the same occasion.
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
import * as law from './ring.ts'
import { decryptTested } from './self-test.ts'

export interface RotateDeps {
  readonly store: { readonly ring: RingStore; readonly verifiers: Pick<VerifierStore, 'list'> }
  readonly clock: Clock
  readonly masterKeys: MasterKeys
  readonly generateKey: GenerateKey
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly policy: law.RingPolicy
}

export interface KeyChoice {
  readonly alg?: AlgorithmName
  /** Size of the RSA modulus; by default that of the previous key. */
  readonly bits?: number
}

/** The rotation was refused: some verifier may still hold a JWKS without the next key. */
export class RotationUnsafe extends KeyturnError<'rotation_unsafe'> {
  /** From when no verifier can hold a JWKS without the next key, as far as time alone tells. */
  readonly safeFrom: EpochSeconds
  /** Names of verifiers that were last given a JWKS without it. */
  readonly behind: readonly string[]
  constructor(safeFrom: EpochSeconds, behind: readonly string[] = []) {
    const names = behind.length === 0 ? '' : `; not fetched yet by ${behind.join(', ')}`
    super(
      'rotation_unsafe',
      `a verifier may hold a JWKS without the next key until ${new Date(safeFrom * 1000).toISOString()}${names}`,
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
  const [active, next] = await Promise.all([makePair(deps, choice), makePair(deps, choice)])
  const [masterKey] = deps.masterKeys.list()
  if (!masterKey) throw new Error('there is no master key')
  const keys = [encrypted(deps, masterKey, active), encrypted(deps, masterKey, next)] as const
  const ring = law.createRing(...keys, deps.clock.now())
  if (await deps.store.ring.create(ring)) {
    deps.failpoint('start:ring')
    deps.audit('keys.created', { actor: 'keyturn', kid: active.kid })
  }
  // Another node may have been first. Its order is the store's, so that every node serves the same bytes from the start.
  return readRing(deps)
}

export interface RotateOptions extends KeyChoice {
  /** Rotates even if it is not safe. */
  readonly force?: boolean
  readonly actor: string
}

/**
 * One step: next → active → retiring, and a new next key.
 * @throws {RotationUnsafe} unless forced, and then nothing has changed
 * @throws {DecryptionError} | {KeyMismatch} if the next key cannot sign; the active key continues to sign
 */
export async function rotateRing(deps: RotateDeps, options: RotateOptions): Promise<Ring> {
  return rotateFrom(deps, await readRing(deps), options)
}

async function rotateFrom(deps: RotateDeps, first: Ring, options: RotateOptions): Promise<Ring> {
  const from = law.activeKey(first).kid
  await assertSafe(deps, first, options)
  const fresh = await makePair(deps, like(first, options))
  deps.failpoint('rotate:generated')
  for (;;) {
    const ring = await readRing(deps)
    // Another process has rotated in the meantime, so the requested rotation has happened.
    if (law.activeKey(ring).kid !== from) return ring
    await assertSafe(deps, ring, options)
    await decryptTested(law.nextKey(ring), deps.masterKeys)
    const newKey = encrypted(deps, deps.masterKeys.inUse(ring), fresh)
    const rotated = law.rotate(ring, newKey, deps.clock.now())
    if (await deps.store.ring.replace(ring, rotated)) {
      deps.failpoint('rotate:committed')
      deps.audit('keys.rotated', {
        actor: options.actor,
        kid: law.activeKey(rotated).kid,
        ...(options.force ? { reason: 'forced' } : {}),
      })
      return rotated
    }
  }
}

/** Known verifiers can only lengthen the wait, because a verifier that reads through a cache is not seen. */
async function assertSafe(deps: RotateDeps, ring: Ring, options: RotateOptions): Promise<void> {
  if (options.force) return
  const now = deps.clock.now()
  const late = namesOf(await behind(deps.store.verifiers, ring, now))
  if (late.length === 0 && law.isSafe(ring, now, deps.policy)) return
  throw new RotationUnsafe(law.safeFrom(ring, deps.policy), late)
}

/**
 * @throws {KeyNotFound} if it is unknown or has left the JWKS already
 * @throws {DecryptionError} | {KeyMismatch} if it is active and the next key cannot take over
 */
export async function revokeKey(
  deps: RotateDeps,
  kid: string,
  options: KeyChoice & { actor: string },
): Promise<Ring> {
  const first = await readRing(deps)
  const bad = first.keys.find((key) => key.kid === kid)
  if (!bad || !law.isPublished(bad)) throw new KeyNotFound(kid)
  // A retiring key already has a successor and never needs another one.
  const fresh = bad.state === 'retiring' ? null : await makePair(deps, like(first, options))
  for (;;) {
    const ring = await readRing(deps)
    const now = ring.keys.find((key) => key.kid === kid)
    if (!now || !law.isPublished(now)) return ring
    if (now.state === 'active') await decryptTested(law.nextKey(ring), deps.masterKeys)
    const successor =
      now.state === 'retiring' || fresh === null ? null : encrypted(deps, deps.masterKeys.inUse(ring), fresh)
    const revoked = law.revoke(ring, kid, successor, deps.clock.now())
    if (await deps.store.ring.replace(ring, revoked)) {
      deps.audit('keys.revoked', { actor: options.actor, kid })
      return revoked
    }
  }
}

/**
 * Does what is due by the clock; the first node that gets to it does it. Returns whether the ring has changed, now or since it
 * was `seen`.
 */
export async function maintainRing(
  deps: RotateDeps,
  seen: Ring,
  now: EpochSeconds = deps.clock.now(),
): Promise<boolean> {
  if (law.plan(seen, now, deps.policy).action === 'none') return false
  // Read again, because otherwise two nodes that see the same thing due would both do it, one after the other.
  const ring = await readRing(deps)
  switch (law.plan(ring, now, deps.policy).action) {
    case 'none':
      return true
    case 'retire':
      await retireDue(deps, ring, now)
      return true
    case 'rotate':
      await rotateFrom(deps, ring, { actor: 'keyturn' }).catch((error) => {
        // A verifier is behind, or the next key was replaced while its successor was generated. The next run tries again.
        if (!(error instanceof RotationUnsafe)) throw error
      })
      return true
  }
}

async function retireDue(deps: RotateDeps, ring: Ring, now: EpochSeconds): Promise<void> {
  const retired = law.retire(ring, now)
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

const makePair = (
  { generateKey }: RotateDeps,
  { alg = DEFAULT_ALGORITHM, bits = DEFAULT_BITS }: KeyChoice,
): Promise<KeyPair> => generateKey(alg, bits)

/** @param masterKey that of the ring that the key goes into; it may have changed since the key was generated */
function encrypted({ masterKeys }: RotateDeps, masterKey: MasterKey, pair: KeyPair): law.NewKey {
  const { kid, alg, publicJwk, privatePem } = pair
  return {
    kid,
    alg,
    publicJwk,
    encryptedPrivateKey: masterKeys.privateKeys.encrypt(masterKey, kid, privatePem),
  }
}

/** Unless another choice is given, the new key has the algorithm and the size of the next key. */
function like(ring: Ring, choice: KeyChoice): KeyChoice {
  const next = law.nextKey(ring)
  const bits = choice.bits ?? bitsOf(next.publicJwk)
  const alg = choice.alg ?? (isAlgorithm(next.alg) ? next.alg : DEFAULT_ALGORITHM)
  return bits === undefined ? { alg } : { alg, bits }
}
