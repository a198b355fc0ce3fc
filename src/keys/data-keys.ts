/**
 * What all but the private keys is derived from: roots, sealed with the master key, so that another master key voids
 * nothing. Usually there is one. After a reseal there are two for a while: what was written with the older one is still
 * ours. Must not know what is written.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { singleFlight } from '../single-flight.ts'
import type { RootStore, StoredRoot } from '../store/contracts/data-keys.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import type { Ring } from '../store/contracts/ring.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Ages, Clock, EpochSeconds, Random, ReachFailpoint, Seconds } from '../system.ts'
import {
  createSealer,
  createSealerOf,
  deriveKey,
  type RootPurpose,
  type Sealed,
  type Sealer,
} from './encryption.ts'
import { type KeyHolder, ROOT } from './master-keys.ts'

/**
 * How long a new root is only read before it is written with: every node has it by then, one whose clock is a minute off
 * too, and one that looks at the store so rarely must look before it judges (`LEASE_MS`).
 */
export const ROOT_AHEAD: Seconds = 120
/** How old a view may be to say that something is not ours. */
const LEASE_MS = 10_000

export interface Root {
  readonly number: number
  readonly listsFrom: number
  /** Derived once. */
  key(purpose: RootPurpose): KeyObject
}

export interface Roots {
  /** For what leaves the house: any node can read it. */
  writing(): Root
  /** Newest first: what was written with one of these is ours. */
  accepted(): readonly Root[]
  /** All there are, newest first: for what the store keeps, which may be older than what is accepted. */
  known(): readonly Root[]
  /** Reads them again if they have changed. */
  sync(): Promise<void>
  /** The same, unless that was done a moment ago: before something is judged by them. */
  current(): Promise<void> | undefined
}

export interface OpenRootsDeps {
  readonly store: { readonly roots: RootStore; readonly revisions: RevisionStore }
  readonly clock: Clock
  readonly ages: Ages
  readonly random: Pick<Random, 'bytes'>
  readonly holder: KeyHolder
  readonly failpoint: ReachFailpoint
}

export const rootLabel = (number: number): string => `root:${number}`

/**
 * The first root, made now if there is none. A store from before there were roots has all written with the master key
 * itself, so that is its first.
 * @param ring null before the first start
 */
export async function ensureRoot(deps: OpenRootsDeps, ring: Ring | null): Promise<void> {
  const { store, clock, random, holder, failpoint } = deps
  if ((await store.roots.list()).length > 0) return
  const [first] = holder.keys()
  const key = ring ? holder.openerOf(ring).key : first?.key
  if (!key) throw new Error('there is no master key')
  const secret = ring ? key : random.bytes(32)
  const sealed = sealRoot(key, random, 1, secret)
  const now = clock.now()
  await store.roots.create({ number: 1, sealed, madeAt: now, writesFrom: now, listsFrom: 0, voided: false })
  failpoint('start:root')
}

function sealRoot(
  masterKey: Uint8Array,
  random: Pick<Random, 'bytes'>,
  number: number,
  secret: Buffer,
): string {
  return createSealer(masterKey, random, ROOT).seal(rootLabel(number), secret.toString('base64url'))
}

export function openRoot(holder: Pick<KeyHolder, 'rootSealer'>, { number, sealed }: StoredRoot): Buffer {
  return Buffer.from(holder.rootSealer.open(rootLabel(number), sealed), 'base64url')
}

/** One root, or several, as they are used. */
export function createRoot(number: number, secret: Uint8Array, listsFrom = 0): Root {
  const keys = new Map<RootPurpose, KeyObject>()
  return {
    number,
    listsFrom,
    key(purpose) {
      const known = keys.get(purpose) ?? createSecretKey(deriveKey(secret, purpose))
      keys.set(purpose, known)
      return known
    },
  }
}

interface View {
  readonly revision: number
  readonly stored: readonly StoredRoot[]
  readonly known: readonly Root[]
  readonly accepted: readonly Root[]
  /** Accepted ones with their times, newest first. */
  readonly writers: readonly { readonly root: Root; readonly from: EpochSeconds }[]
}

/** @throws {SealBroken} if no master key opens them */
export async function openRoots({ store, clock, ages, holder }: OpenRootsDeps): Promise<Roots> {
  let view = await load(undefined)
  let seen = ages.mark()

  async function load(before: View | undefined): Promise<View> {
    // First, so that what changes in between is found the next time.
    const { roots: revision } = await store.revisions.read()
    if (before?.revision === revision) return before
    const stored = [...(await store.roots.list())].reverse()
    const known = stored.map(
      (row) =>
        // The text of a root changes with the master key, what it is does not.
        before?.known.find(({ number }) => number === row.number) ??
        createRoot(row.number, openRoot(holder, row), row.listsFrom),
    )
    const accepted = known.filter((_, i) => stored[i]?.voided === false)
    const writers = accepted.map((root) => ({
      root,
      from: stored.find(({ number }) => number === root.number)?.writesFrom ?? 0,
    }))
    if (accepted.length === 0) throw new Error('the store has no root')
    return { revision, stored, known, accepted, writers }
  }

  async function readAgain(): Promise<void> {
    const asked = ages.mark()
    view = await load(view).catch((error) => {
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(error)
    })
    seen = asked
  }

  const sync = singleFlight(readAgain)

  return {
    writing() {
      const now = clock.now()
      const due = view.writers.find(({ from }) => from <= now) ?? view.writers.at(-1)
      return (due as View['writers'][number]).root
    },
    accepted: () => view.accepted,
    known: () => view.known,
    sync,
    current: () => (ages.since(seen) > LEASE_MS ? sync() : undefined),
  }
}

/** Roots that do not change, for what needs no store. */
export function fixedRoots(...roots: readonly Root[]): Roots {
  const [newest] = roots
  if (!newest) throw new Error('at least one root is needed')
  return {
    writing: () => newest,
    accepted: () => roots,
    known: () => roots,
    sync: async () => {},
    current: () => undefined,
  }
}

/** What a browser carries for us. */
export const createRootSealer = (
  roots: Pick<Roots, 'writing' | 'accepted'>,
  random: Pick<Random, 'bytes'>,
  { purpose, what }: Sealed,
): Sealer => rootSealer(() => [roots.writing(), ...roots.accepted()], random, { purpose, what })

/** What the store keeps. */
export const createStoredSealer = (
  roots: Pick<Roots, 'known'>,
  random: Pick<Random, 'bytes'>,
  sealed: Sealed,
): Sealer => rootSealer(() => roots.known(), random, sealed)

const rootSealer = (
  of: () => readonly Root[],
  random: Pick<Random, 'bytes'>,
  { purpose, what }: Sealed,
): Sealer => createSealerOf(() => of().map((root) => root.key(purpose)), random, what)
