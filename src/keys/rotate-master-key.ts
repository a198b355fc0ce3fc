/**
 * Another master key: all that the one has sealed is sealed with the other, in one step. With it comes a new root, since
 * whoever has the old master key and the database of then has the old root too; that is accepted as long as something
 * depends on it. Must not know where master keys are kept.
 */
import type { Audit } from '../audit/events.ts'
import type { Dependents, RootStore, StoredRoot } from '../store/contracts/data-keys.ts'
import type { RingStore } from '../store/contracts/ring.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { Clock, EpochSeconds, Random, ReachFailpoint, Seconds } from '../system.ts'
import { openRoot, ROOT_AHEAD, type Roots, rootLabel } from './data-keys.ts'
import { createSealer } from './encryption.ts'
import { type KeyHolder, type MasterKey, ROOT } from './master-keys.ts'

export interface ResealDeps {
  readonly store: { readonly ring: RingStore; readonly roots: RootStore }
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly holder: KeyHolder
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
}

export interface Resealed {
  /** What was sealed anew: private keys and roots. */
  readonly texts: number
}

/** @throws {SealBroken} if anything does not open; then nothing was changed */
export async function reseal(
  deps: ResealDeps,
  to: MasterKey,
  { actor, compromised }: { actor: string; compromised: boolean },
): Promise<Resealed> {
  const { store, clock, random, holder } = deps
  const sealer = createSealer(to.key, random)
  const rootSealer = createSealer(to.key, random, ROOT)
  const sealRoot = (number: number, secret: Buffer) =>
    rootSealer.seal(rootLabel(number), secret.toString('base64url'))
  for (;;) {
    const [ring, roots] = [await store.ring.read(), await store.roots.list()]
    const newest = roots.at(-1)
    if (!ring || !newest) throw new Error('the store has no key ring')
    const from = holder.openerOf(ring)
    if (from.fingerprint === to.fingerprint) return { texts: 0 }
    const keys = new Map(
      ring.keys.flatMap(({ kid, sealed }) =>
        sealed === null ? [] : [[kid, sealer.seal(kid, holder.sealer.open(kid, sealed))]],
      ),
    )
    const sealed = new Map(roots.map((root) => [root.number, sealRoot(root.number, openRoot(holder, root))]))
    const number = newest.number + 1
    const now = clock.now()
    const fresh = {
      number,
      sealed: sealRoot(number, random.bytes(32)),
      madeAt: now,
      writesFrom: compromised ? now : now + ROOT_AHEAD,
    }
    if (await store.roots.reseal({ ring, keys, roots, sealed, fresh, voids: compromised })) {
      deps.failpoint('reseal:swapped')
      deps.audit('keys.resealed', {
        actor,
        target: to.fingerprint,
        ...(compromised ? { reason: 'compromised' } : {}),
      })
      return { texts: keys.size + sealed.size }
    }
  }
}

/** Nodes that learn late of a new root have stopped writing with the old one by then. */
const LATE: Seconds = 60
/** What a browser carries for us, and runs of status indices that are in use, are over by then. */
const SHORTEST: Seconds = 7200

export interface OldRoot extends Dependents {
  readonly number: number
  readonly madeAt: EpochSeconds
  readonly voided: boolean
  /** Nothing depends on it any more. */
  readonly over: boolean
}

type Asking = Pick<ResealDeps, 'clock'> & { readonly store: { readonly roots: RootStore } }

/** All but the newest, and what each is kept for. */
export async function oldRoots({ store, clock }: Asking): Promise<OldRoot[]> {
  const roots = await store.roots.list()
  const now = clock.now()
  const old: OldRoot[] = []
  for (const [i, root] of roots.entries()) {
    const next = roots[i + 1]
    if (next) old.push(await describe(store.roots, root, next, now))
  }
  return old
}

async function describe(
  store: RootStore,
  { number, madeAt, voided }: StoredRoot,
  next: StoredRoot,
  now: EpochSeconds,
): Promise<OldRoot> {
  const all = await store.dependents(next.number, next.writesFrom + LATE, now)
  // What is void depends on nothing.
  const dependents = voided ? { ...all, sessions: 0, recoveryCodes: 0 } : all
  const left = Object.values(dependents).some((count) => count > 0)
  return { number, madeAt, voided, ...dependents, over: !left && now > next.writesFrom + SHORTEST }
}

/** Forgets the roots on which nothing depends, oldest first; returns their numbers. */
async function forgetRoots(
  deps: Pick<RootTenderDeps, 'store' | 'clock' | 'audit' | 'flush'>,
): Promise<number[]> {
  const forgotten: number[] = []
  for (const { number, over } of await oldRoots(deps)) {
    // What depends on one is counted for those before it too.
    if (!over) break
    // One node sees to it; another does an hour later, should that one have died.
    if (!(await deps.store.singleUse.claim(`forget-root:${number}`, deps.clock.now() + ASK_EVERY))) break
    // Written first: so the end of the audit log bears the signature of a root that stays.
    deps.audit('roots.forgotten', { actor: 'keyturn', target: String(number) })
    await deps.flush()
    if (await deps.store.roots.remove(number)) forgotten.push(number)
  }
  return forgotten
}

/** Between two questions whether an old root is still of use: what depends on it takes counting. */
const ASK_EVERY: Seconds = 3600

export interface RootTenderDeps extends Asking {
  readonly store: Asking['store'] & { readonly singleUse: Pick<SingleUseStore, 'claim'> }
  readonly audit: Audit
  readonly flush: () => Promise<void>
  readonly roots: Pick<Roots, 'known'>
  readonly resealFactors: () => Promise<unknown>
}

/** What is to be done after a reseal: what nodes have written that learned of it late, and then the old root. */
export function createRootTender(deps: RootTenderDeps): () => Promise<void> {
  let asked = Number.NEGATIVE_INFINITY
  return async () => {
    if (deps.roots.known().length === 1) return
    await deps.resealFactors()
    const now = deps.clock.now()
    if (now < asked + ASK_EVERY) return
    asked = now
    await forgetRoots(deps)
  }
}
