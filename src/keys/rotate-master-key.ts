/**
 * Moves the store to another master key: re-encrypts everything that is encrypted under the old one, in one commit. The same
 * commit adds a new data key, because someone who has the old master key and an old copy of the database also has the old data
 * key. The old data key stays valid as long as something depends on it. Must not know where master keys are stored.
 */
import type { Audit } from '../audit/events.ts'
import type { AuditLog } from '../audit/log.ts'
import type { DataKeyStore, Dependents, StoredDataKey } from '../store/contracts/data-keys.ts'
import type { RingStore } from '../store/contracts/ring.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { Clock, EpochSeconds, Random, ReachFailpoint, Seconds } from '../system.ts'
import { createAuditKeys } from './audit-keys.ts'
import { CURRENT_AFTER, createDataKey, type DataKeys, decryptDataKey, encryptDataKey } from './data-keys.ts'
import type { MasterKey, MasterKeys } from './master-keys.ts'

interface RotateMasterKeyDeps {
  readonly store: { readonly ring: RingStore; readonly dataKeys: DataKeyStore }
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly masterKeys: MasterKeys
  readonly audit: Audit
  readonly auditLog: Pick<AuditLog, 'signedWith'>
  readonly failpoint: ReachFailpoint
}

/**
 * @returns how many private keys and data keys were re-encrypted; 0 if the store is already encrypted under `to`
 * @throws {DecryptionError} if anything cannot be decrypted; then nothing was changed
 */
export async function rotateMasterKey(
  deps: RotateMasterKeyDeps,
  to: MasterKey,
  { actor, compromised }: { actor: string; compromised: boolean },
): Promise<number> {
  const { store, clock, random, masterKeys } = deps
  for (;;) {
    const [ring, dataKeys] = [await store.ring.read(), await store.dataKeys.list()]
    const newest = dataKeys.at(-1)
    if (!ring || !newest) throw new Error('the store has no key ring')
    if (masterKeys.inUse(ring).id === to.id) return 0
    const privateKeys = new Map(
      ring.keys.flatMap(({ kid, encryptedPrivateKey: text }) =>
        text === null
          ? []
          : [[kid, masterKeys.privateKeys.encrypt(to, kid, masterKeys.privateKeys.decrypt(kid, text))]],
      ),
    )
    const encryptedDataKeys = new Map(
      dataKeys.map((dataKey) => [
        dataKey.number,
        encryptDataKey(masterKeys, to, dataKey.number, decryptDataKey(masterKeys, dataKey)),
      ]),
    )
    const number = newest.number + 1
    const now = clock.now()
    const secret = random.bytes(32)
    // The head is signed in the same commit, so that the head of an intact log is never signed with an older data key. If the log
    // is not intact, the head is not signed: a rotation must not hide that someone has tampered with the log.
    const auditHead = await deps.auditLog.signedWith(createAuditKeys([createDataKey(number, secret)]))
    const newDataKey = {
      number,
      encrypted: encryptDataKey(masterKeys, to, number, secret),
      createdAt: now,
      currentFrom: compromised ? now : now + CURRENT_AFTER,
    }
    const rotation = {
      ring,
      privateKeys,
      dataKeys,
      encryptedDataKeys,
      newDataKey,
      ...(auditHead ? { auditHead } : {}),
      invalidateOld: compromised,
    }
    if (await store.dataKeys.rotateMasterKey(rotation)) {
      deps.failpoint('master-key:committed')
      deps.audit('master_key.rotated', {
        actor,
        target: to.id,
        ...(compromised ? { reason: 'compromised' } : {}),
      })
      return privateKeys.size + encryptedDataKeys.size
    }
  }
}

/** After a new data key has become current, a slow node may still use the old one for new values for this long. */
const NODE_DELAY: Seconds = 60
/** After this time, values that browsers carry and blocks of status indices in use have expired. */
const MIN_VALIDITY: Seconds = 7200

export interface OldDataKey extends Dependents {
  readonly number: number
  readonly createdAt: EpochSeconds
  readonly invalidated: boolean
  /** No value depends on it. */
  readonly unused: boolean
}

type ReadDeps = Pick<RotateMasterKeyDeps, 'clock'> & { readonly store: { readonly dataKeys: DataKeyStore } }

/** All data keys except the newest one, and what still depends on each. */
export async function oldDataKeys({ store, clock }: ReadDeps): Promise<OldDataKey[]> {
  const dataKeys = await store.dataKeys.list()
  const now = clock.now()
  const old: OldDataKey[] = []
  for (const [i, dataKey] of dataKeys.entries()) {
    const next = dataKeys[i + 1]
    if (next) old.push(await describe(store.dataKeys, dataKey, next, now))
  }
  return old
}

async function describe(
  store: DataKeyStore,
  { number, createdAt, invalidated }: StoredDataKey,
  next: StoredDataKey,
  now: EpochSeconds,
): Promise<OldDataKey> {
  const all = await store.dependents(next.number, next.currentFrom + NODE_DELAY, now)
  // Refresh tokens and recovery codes of an invalidated data key are refused, so they do not need it.
  const dependents = invalidated ? { ...all, sessions: 0, recoveryCodes: 0 } : all
  const needed = Object.values(dependents).some((count) => count > 0)
  return {
    number,
    createdAt,
    invalidated,
    ...dependents,
    unused: !needed && now > next.currentFrom + MIN_VALIDITY,
  }
}

/** Deletes the data keys on which nothing depends, oldest first. */
async function removeUnused(
  deps: Pick<PruneDataKeysDeps, 'store' | 'clock' | 'audit' | 'flush'>,
): Promise<void> {
  for (const { number, unused } of await oldDataKeys(deps)) {
    // `unused` takes older data keys into account, so a data key that follows one in use is in use too.
    if (!unused) return
    // One node deletes the data key. If that node is killed, another node deletes it an hour later.
    if (!(await deps.store.singleUse.claim(`data-key-removal:${number}`, deps.clock.now() + CHECK_EVERY)))
      return
    // The event is written first, so that the head of the audit log is signed with a data key that stays.
    deps.audit('data_key.removed', { actor: 'keyturn', target: String(number) })
    await deps.flush()
    await deps.store.dataKeys.remove(number)
  }
}

/** Counting the dependents of an old data key takes time, so it is not done at every run. */
const CHECK_EVERY: Seconds = 3600

interface PruneDataKeysDeps extends ReadDeps {
  readonly store: ReadDeps['store'] & { readonly singleUse: Pick<SingleUseStore, 'claim'> }
  readonly audit: Audit
  readonly flush: () => Promise<void>
  readonly dataKeys: Pick<DataKeys, 'all'>
  readonly reencryptFactors: () => Promise<unknown>
}

/**
 * Completes a rotation of the master key: re-encrypts second factors that slow nodes have encrypted with the old data key, and
 * deletes the old data key when nothing depends on it.
 */
export function createPruneDataKeys(deps: PruneDataKeysDeps): () => Promise<void> {
  let checkedAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (deps.dataKeys.all().length === 1) return
    await deps.reencryptFactors()
    const now = deps.clock.now()
    if (now < checkedAt + CHECK_EVERY) return
    checkedAt = now
    await removeUnused(deps)
  }
}
