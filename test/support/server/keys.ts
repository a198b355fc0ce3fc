/** Key rings for tests: real keys, a real store, a clock that the test advances. ES256, because it is quick to generate. */
import { type AlgorithmName, generateKey } from '../../../src/keys/algorithms.ts'
import { createRoot, fixedRoots } from '../../../src/keys/data-keys.ts'
import { createSealer } from '../../../src/keys/encryption.ts'
import type { NewKey, RingPolicy } from '../../../src/keys/ring.ts'
import type { RotateDeps } from '../../../src/keys/rotate.ts'
import { createAges } from '../../../src/node/cluster-clock.ts'
import { createStore, openDb, type Store } from '../../../src/store/index.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { type Ages, type Clock, noFailpoint, systemRandom } from '../../../src/system.ts'
import { testClock } from './clock.ts'

export const MINUTE = 60
export const HOUR = 3600
export const DAY = 86_400

export const POLICY: RingPolicy = { verifierCache: DAY, keyRotation: 30 * DAY, jwksMaxAge: 5 * MINUTE }
export const MASTER_KEY = Buffer.alloc(32, 1)
/** Data keys for a unit under test, by default derived from one secret. */
export const rootsOf = (...secrets: readonly Uint8Array[]) =>
  fixedRoots(...secrets.map((secret, i) => createRoot(secrets.length - i, secret)))

export const QUICK = { alg: 'ES256' } as const

/** A migrated store; in memory unless a file is named. */
export async function openStore(file = ':memory:'): Promise<Store> {
  const store = createStore(openDb(`sqlite:${file}`))
  await migrate(store.db, testClock(0))
  return store
}

/** What a node on this store would have. */
export function ringDeps(
  store: Pick<Store, 'ring' | 'verifiers'>,
  clock: Clock,
  overrides: Partial<Omit<RotateDeps, 'store' | 'clock'>> = {},
): RotateDeps & { ages: Ages } {
  return {
    store,
    clock,
    ages: createAges(clock, () => clock.now() * 1000),
    sealer: createSealer(MASTER_KEY, systemRandom),
    generateKey,
    audit: () => {},
    failpoint: noFailpoint,
    policy: POLICY,
    ...overrides,
  }
}

/** A key as the key ring takes it. */
export async function newKey(alg: AlgorithmName = 'ES256'): Promise<NewKey> {
  const { kid, alg: name, publicJwk, privatePem } = await generateKey(alg)
  return { kid, alg: name, publicJwk, sealed: createSealer(MASTER_KEY, systemRandom).seal(kid, privatePem) }
}
