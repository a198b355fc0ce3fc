/**
 * Carries out what `ring.ts` decides: generate outside any transaction, then compare and swap. Whoever loses a
 * race reads again; it never fails, and never adds a second key for the same occasion.
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
import type { Sealer } from './encryption.ts'
import { behind, namesOf } from './known-verifiers.ts'
import { specimensOf } from './master-keys.ts'
import * as law from './ring.ts'
import { openTested } from './self-test.ts'

export interface RotateDeps {
  readonly store: { readonly ring: RingStore; readonly verifiers: Pick<VerifierStore, 'list'> }
  readonly clock: Clock
  readonly sealer: Sealer
  readonly generateKey: GenerateKey
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly policy: law.RingPolicy
}

export interface KeyChoice {
  readonly alg?: AlgorithmName
  /** RSA modulus; by default that of the key before it. */
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

/** The key is not one that could be revoked. */
export class NoSuchKey extends KeyturnError<'key_not_found'> {
  constructor(kid: string) {
    super('key_not_found', `no key ${kid} is in the JWKS`)
  }
}

/** The store's ring, made now if there is none yet. */
export async function ensureRing(deps: RotateDeps, choice: KeyChoice = {}): Promise<Ring> {
  const existing = await deps.store.ring.read()
  if (existing) return existing
  const [active, next] = await Promise.all([makePair(deps, choice), makePair(deps, choice)])
  const ring = law.createRing(sealed(deps, active), sealed(deps, next), deps.clock.now())
  if (await deps.store.ring.create(ring)) {
    deps.failpoint('start:ring')
    deps.audit('keys.created', { actor: 'keyturn', kid: active.kid })
  }
  // Ours or another's; and in the store's order, so that every node serves the same bytes from the start.
  return readRing(deps)
}

export interface RotateOptions extends KeyChoice {
  /** Goes ahead although it is not safe. */
  readonly force?: boolean
  readonly actor: string
}

/**
 * One step: next → active → retiring, and a new next key.
 * @throws {RotationUnsafe} unless forced, and then nothing has changed
 * @throws {SealBroken} | {KeyMismatch} if the next key could not sign: the active one goes on
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
    // Somebody else rotated meanwhile: what was asked for has happened.
    if (law.activeKey(ring).kid !== from) return ring
    await assertSafe(deps, ring, options)
    await openTested(law.nextKey(ring), deps.sealer)
    const rotated = law.rotate(ring, sealed(deps, fresh, ring), deps.clock.now())
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

/** What is known about verifiers can only add to the wait: one that reads through a cache is not seen. */
async function assertSafe(deps: RotateDeps, ring: Ring, options: RotateOptions): Promise<void> {
  if (options.force) return
  const now = deps.clock.now()
  const late = namesOf(await behind(deps.store.verifiers, ring, now))
  if (late.length === 0 && law.isSafe(ring, now, deps.policy)) return
  throw new RotationUnsafe(law.safeFrom(ring, deps.policy), late)
}

/**
 * @throws {NoSuchKey} if it is unknown or has left the JWKS already
 * @throws {SealBroken} | {KeyMismatch} if it is active and the next key could not take over
 */
export async function revokeKey(
  deps: RotateDeps,
  kid: string,
  options: KeyChoice & { actor: string },
): Promise<Ring> {
  const first = await readRing(deps)
  const bad = first.keys.find((key) => key.kid === kid)
  if (!bad || !law.isPublished(bad)) throw new NoSuchKey(kid)
  // A retiring key has a successor already, and never becomes anything that would need another.
  const fresh = bad.state === 'retiring' ? null : await makePair(deps, like(first, options))
  for (;;) {
    const ring = await readRing(deps)
    const now = ring.keys.find((key) => key.kid === kid)
    if (!now || !law.isPublished(now)) return ring
    if (now.state === 'active') await openTested(law.nextKey(ring), deps.sealer)
    const successor = now.state === 'retiring' || fresh === null ? null : sealed(deps, fresh, ring)
    const revoked = law.revoke(ring, kid, successor, deps.clock.now())
    if (await deps.store.ring.replace(ring, revoked)) {
      deps.audit('keys.revoked', { actor: options.actor, kid })
      return revoked
    }
  }
}

/**
 * What is due by the clock, done by whichever node comes first; returns whether the ring changed, or had
 * changed since it was `seen`.
 */
export async function maintainRing(
  deps: RotateDeps,
  seen: Ring,
  now: EpochSeconds = deps.clock.now(),
): Promise<boolean> {
  if (law.plan(seen, now, deps.policy).action === 'none') return false
  // Looked at again, or two nodes that are due at the same moment would both do it, one after the other.
  const ring = await readRing(deps)
  switch (law.plan(ring, now, deps.policy).action) {
    case 'none':
      return true
    case 'retire':
      await retireDue(deps, ring, now)
      return true
    case 'rotate':
      await rotateFrom(deps, ring, { actor: 'keyturn' }).catch((error) => {
        // A verifier is behind, or the next key was replaced while its successor was made: another time, then.
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

/** With the master key of the ring that it goes into, which may be another than when the key was made. */
function sealed({ sealer }: RotateDeps, pair: KeyPair, ring?: Ring): law.NewKey {
  const { kid, alg, publicJwk, privatePem } = pair
  return { kid, alg, publicJwk, sealed: sealer.seal(kid, privatePem, ring && specimensOf(ring)) }
}

/** A ring keeps the algorithm and size that were chosen last unless told otherwise. */
function like(ring: Ring, choice: KeyChoice): KeyChoice {
  const next = law.nextKey(ring)
  const bits = choice.bits ?? bitsOf(next.publicJwk)
  const alg = choice.alg ?? (isAlgorithm(next.alg) ? next.alg : DEFAULT_ALGORITHM)
  return bits === undefined ? { alg } : { alg, bits }
}
