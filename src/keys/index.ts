/**
 * Puts the keys together: the master key, the data keys and the ring, which every command may need, and on top of them what a
 * server signs with. Must not know tokens or HTTP. A new use of a data key is a purpose in encryption.ts.
 */
import type { Audit } from '../audit/events.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Config } from '../config/load.ts'
import type { Store } from '../store/index.ts'
import type { Ages, Clock, Logger, Random, ReachFailpoint } from '../system.ts'
import type { GenerateKey } from './algorithms.ts'
import { ensureRoot, openRoots, type Roots } from './data-keys.ts'
import { createKnownVerifiers, type KnownVerifiers } from './known-verifiers.ts'
import { type LiveRing, openLiveRing } from './live-ring.ts'
import { createMasterKey, MasterKeyProblem, masterKeyFile } from './master-key.ts'
import { createKeyHolder, type KeyHolder } from './master-keys.ts'
import { ensureRing, type KeyChoice, type RotateDeps } from './rotate.ts'
import { createSigner, type Signer } from './signer.ts'

export interface Keys extends RotateDeps {
  readonly holder: KeyHolder
  readonly roots: Roots
  /** True if this call made the first ring. */
  readonly firstStart: boolean
}

export interface OpenKeysDeps {
  readonly config: Config
  readonly store: Pick<Store, 'ring' | 'roots' | 'revisions' | 'verifiers'>
  readonly clock: Clock
  readonly clusterClock: { readonly ages: Ages }
  readonly random: Random
  readonly audit: Audit
  readonly auditLog: Pick<AuditLog, 'adopt'>
  readonly failpoint: ReachFailpoint
  readonly generateKey: GenerateKey
}

/**
 * Opens the master key, the data keys and the ring. Makes them if this is the first start.
 * @throws {MasterKeyProblem} a new master key is never made for a ring that was encrypted with another one
 * @throws {SealBroken} if the master key does not decrypt the ring or the data keys
 */
export async function openKeys(deps: OpenKeysDeps, choice: KeyChoice = {}): Promise<Keys> {
  const { config, store, random, clock, audit, failpoint, generateKey } = deps
  const existing = await store.ring.read()
  const firstStart = existing === null && (await store.roots.list()).length === 0
  const holder = createKeyHolder(config, random)
  if (holder.keys().length === 0) {
    makeMasterKey()
    holder.refresh()
  }
  // Before anything is encrypted: a key encrypted with another master key would break the ring for every node.
  if (existing) holder.openerOf(existing)
  const rooted = { store, clock, ages: deps.clusterClock.ages, random, holder, failpoint }
  await ensureRoot(rooted, existing)
  // Before a ring is made, because a ring without readable data keys would be useless.
  const roots = await openRoots(rooted)
  const policy = {
    verifierCache: config.verifierCache,
    keyRotation: config.keyRotation,
    jwksMaxAge: config.jwksMaxAge,
  }
  const rotateDeps = { store, clock, sealer: holder.sealer, generateKey, audit, failpoint, policy }
  if (!existing) await deps.auditLog.adopt()
  await ensureRing(rotateDeps, choice)
  return { ...rotateDeps, holder, roots, firstStart }

  function makeMasterKey(): void {
    if (!firstStart) {
      throw new MasterKeyProblem(
        `${masterKeyFile(config.keysDir)} is missing, and the database has keys that only it opens: restore it`,
      )
    }
    createMasterKey(config.keysDir, random)
    failpoint('start:master-key')
  }
}

export interface Signing {
  /** The ring as this node knows it. */
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

/** @throws {SealBroken} if the master key does not decrypt the ring */
export async function createSigning(deps: SigningDeps): Promise<Signing> {
  const { keys, store, clock, ages, issuer, logger, traceSigner } = deps
  const { sealer, policy, failpoint } = keys
  const first = await ensureRing(keys)
  const ring = await openLiveRing({ store, clock, ages, sealer, policy, failpoint }, first)
  return {
    ring,
    signer: traceSigner(createSigner(ring, issuer)),
    knownVerifiers: createKnownVerifiers({ verifiers: store.verifiers, clock, logger }),
  }
}
