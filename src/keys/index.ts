/**
 * Composes the keys: the master key, the data keys and the ring, which every command may need, and the signer of a server. Must
 * not know tokens or HTTP. A new use of a data key is a purpose in encryption.ts.
 */
import type { Audit } from '../audit/events.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Config } from '../config/load.ts'
import { StoreUnusable } from '../store/db.ts'
import type { Store } from '../store/index.ts'
import type { Ages, Clock, Logger, Random, ReachFailpoint } from '../system.ts'
import type { GenerateKey } from './algorithms.ts'
import { type DataKeys, ensureDataKey, openDataKeys } from './data-keys.ts'
import { createKnownVerifiers, type KnownVerifiers } from './known-verifiers.ts'
import { type LiveRing, openLiveRing } from './live-ring.ts'
import { createMasterKey, InvalidMasterKey, masterKeyFile } from './master-key.ts'
import { createMasterKeys } from './master-keys.ts'
import type { RingPolicy } from './ring.ts'
import { ensureRing, type LaneChoice, type RotateDeps } from './rotate.ts'
import { createSigner, type Signer } from './signer.ts'

export interface Keys extends RotateDeps {
  readonly dataKeys: DataKeys
  /** True if this call created the ring. */
  readonly firstStart: boolean
}

export interface OpenKeysDeps {
  readonly config: Config
  readonly store: Pick<Store, 'ring' | 'dataKeys' | 'revisions' | 'verifiers'>
  readonly clock: Clock
  readonly clusterClock: { readonly ages: Ages }
  readonly random: Random
  readonly audit: Audit
  readonly auditLog: Pick<AuditLog, 'signUnsigned'>
  readonly failpoint: ReachFailpoint
  readonly generateKey: GenerateKey
}

/**
 * Opens the master key, the data keys and the ring. Creates them if this is the first start.
 * @throws {StoreUnusable} if there is a ring and no data key
 * @throws {InvalidMasterKey} never creates a new master key for a store that is encrypted under another one
 * @throws {DecryptionError} if the master key does not decrypt the ring or the data keys
 */
export async function openKeys(deps: OpenKeysDeps, choice: LaneChoice = {}): Promise<Keys> {
  const { config, store, random, clock, audit, failpoint, generateKey } = deps
  const existing = await store.ring.read()
  const hasDataKeys = (await store.dataKeys.list()).length > 0
  if (existing && !hasDataKeys) {
    // A new data key would make every refresh token, second factor and signature of the audit log invalid without a word.
    throw new StoreUnusable('the database has a key ring and no data key: it is damaged; restore a backup')
  }
  const firstStart = existing === null && !hasDataKeys
  const masterKeys = createMasterKeys(config, random)
  if (masterKeys.list().length === 0) {
    createFirstMasterKey()
    masterKeys.refresh()
  }
  // Checked before anything is encrypted: a key under another master key would break the ring for every node.
  const masterKey = existing ? masterKeys.inUse(existing) : masterKeys.list()[0]
  if (!masterKey) throw new Error('there is no master key')
  const dataKeyDeps = { store, clock, ages: deps.clusterClock.ages, random, masterKeys, failpoint }
  await ensureDataKey(dataKeyDeps, masterKey)
  // Opened before a ring is created, because a ring without readable data keys would be useless.
  const dataKeys = await openDataKeys(dataKeyDeps)
  const policy = ringPolicy(config)
  const rotateDeps = { store, clock, masterKeys, generateKey, audit, failpoint, policy }
  if (!existing) await deps.auditLog.signUnsigned()
  await ensureRing(rotateDeps, { algorithms: config.algorithms, ...choice })
  return { ...rotateDeps, dataKeys, firstStart }

  function createFirstMasterKey(): void {
    if (!firstStart) {
      throw new InvalidMasterKey(
        `${masterKeyFile(config.keysDir)} is missing, and only it decrypts the keys in the database: restore it`,
      )
    }
    createMasterKey(config.keysDir, random)
    failpoint('start:master-key')
  }
}

export const ringPolicy = ({ verifierCache, keyRotation, jwksMaxAge }: Config): RingPolicy => ({
  verifierCache,
  keyRotation,
  jwksMaxAge,
})

export interface Signing {
  /** This node's view of the ring. */
  readonly ring: LiveRing
  readonly signer: Signer
  /** Who has fetched which version of the JWKS. */
  readonly knownVerifiers: KnownVerifiers
}

export interface SigningDeps {
  readonly keys: Keys
  readonly store: Pick<Store, 'ring' | 'revisions' | 'verifiers'>
  readonly clock: Clock
  readonly ages: Ages
  readonly issuer: string
  readonly logger: Pick<Logger, 'warn'>
  readonly traceSigner: (signer: Signer) => Signer
}

/** @throws {DecryptionError} if the master key does not decrypt the ring */
export async function createSigning(deps: SigningDeps): Promise<Signing> {
  const { keys, store, clock, ages, issuer, logger, traceSigner } = deps
  const { masterKeys, policy, failpoint } = keys
  const first = await ensureRing(keys)
  const ring = await openLiveRing({ store, clock, ages, masterKeys, policy, failpoint }, first)
  return {
    ring,
    signer: traceSigner(createSigner(ring, issuer)),
    knownVerifiers: await createKnownVerifiers({ verifiers: store.verifiers, clock, logger }),
  }
}
