/** Key rings for tests: real keys, a real store, a clock that the test advances. ES256, because it is quick to generate. */
import { type AlgorithmName, type GenerateKey, generateKey } from '../../../src/keys/algorithms.ts'
import { createDataKey, fixedDataKeys } from '../../../src/keys/data-keys.ts'
import { createMasterKeys, type MasterKeys } from '../../../src/keys/master-keys.ts'
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
/** Data keys that need no store, newest first. */
export const dataKeysOf = (...secrets: readonly Uint8Array[]) =>
  fixedDataKeys(...secrets.map((secret, i) => createDataKey(secrets.length - i, secret)))
/** The master keys of a process that has them from its settings. */
export const masterKeysOf = (current: Buffer, next: Buffer | null = null): MasterKeys =>
  createMasterKeys({ keysDir: '/nonexistent', masterKey: current, masterKeyNext: next }, systemRandom)

/** Encrypts under the first of these master keys. */
export function encryptPrivateKey(masterKeys: MasterKeys, kid: string, pem: string): string {
  const [masterKey] = masterKeys.list()
  if (!masterKey) throw new Error('there is no master key')
  return masterKeys.privateKeys.encrypt(masterKey, kid, pem)
}

/** The choice of a new ring. */
export const QUICK = { algorithms: ['ES256'] } as const

/** A migrated store; in memory unless a file is named. */
export async function openStore(file = ':memory:'): Promise<Store> {
  const store = createStore(openDb(`sqlite:${file}`, { create: true }))
  await migrate(store.db, testClock(0))
  return store
}

/** The dependencies of a node on this store. */
export function ringDeps(
  store: Pick<Store, 'ring' | 'verifiers'>,
  clock: Clock,
  overrides: Partial<Omit<RotateDeps, 'store' | 'clock'>> = {},
): RotateDeps & { ages: Ages } {
  return {
    store,
    clock,
    ages: createAges(clock, () => clock.now() * 1000),
    masterKeys: masterKeysOf(MASTER_KEY),
    generateKey,
    audit: () => {},
    failpoint: noFailpoint,
    policy: POLICY,
    ...overrides,
  }
}

/** A key as the key ring takes it. */
export async function newKey(
  alg: AlgorithmName = 'ES256',
  generate: GenerateKey = generateKey,
): Promise<NewKey> {
  const { kid, alg: name, publicJwk, privatePem } = await generate(alg)
  const encryptedPrivateKey = encryptPrivateKey(masterKeysOf(MASTER_KEY), kid, privatePem)
  return { kid, alg: name, publicJwk, encryptedPrivateKey }
}
