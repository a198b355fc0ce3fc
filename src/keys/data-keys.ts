/**
 * Data keys: random secrets in the store from which all other keys are derived. They are encrypted under the master key, so
 * a new master key invalidates nothing. A store usually has one. After a rotation of the master key it has two for a while, and
 * values that were made with the older one are still valid. Must not know what data keys are used for.
 */
import type { KeyObject } from 'node:crypto'
import { singleFlight } from '../single-flight.ts'
import type { DataKeyStore, StoredDataKey } from '../store/contracts/data-keys.ts'
import type { RevisionStore } from '../store/contracts/revisions.ts'
import { StoreUnavailable } from '../store/db.ts'
import type { Ages, Clock, Random, ReachFailpoint, Seconds } from '../system.ts'
import {
  type Cipher,
  type CipherNames,
  createCipher,
  type DataKeyPurpose,
  deriveKey,
  type FindKey,
  type NamedKey,
} from './encryption.ts'
import type { MasterKey, MasterKeys } from './master-keys.ts'

/**
 * Delay before a new data key is used for new values. When it has passed, every node has read the new data key, even a node whose
 * clock differs by a minute: a node whose view is older than `LEASE_MS` reads the store before it uses a data key.
 */
export const CURRENT_AFTER: Seconds = 120
/** How old the view may be when a value is accepted or refused. */
const LEASE_MS = 10_000

export interface DataKey {
  /** Counts up from 1. Ciphertexts and MACs name their key by it. */
  readonly number: number
  readonly firstStatusList: number
  /** The derived key of a purpose; it is derived once. */
  key(purpose: DataKeyPurpose): KeyObject
}

export interface DataKeys {
  /** The data key for new values that leave the server. Every node can read values that are made with it. */
  current(): DataKey
  /** Newest first. Values that clients and browsers present must have been made with one of these. */
  valid(): readonly DataKey[]
  /** Newest first. For values in the store, which may have been made with a data key that is no longer valid. */
  all(): readonly DataKey[]
  /** Reads the data keys again if they have changed. */
  sync(): Promise<void>
  /** Calls `sync` if the view is older than `LEASE_MS`. Call before a value is accepted or refused. */
  refreshIfStale(): Promise<void> | undefined
}

interface OpenDataKeysDeps {
  readonly store: { readonly dataKeys: DataKeyStore; readonly revisions: RevisionStore }
  readonly clock: Clock
  readonly ages: Ages
  readonly random: Pick<Random, 'bytes'>
  readonly masterKeys: MasterKeys
  readonly failpoint: ReachFailpoint
}

/** Creates the first data key if there is none. @param masterKey encrypts the data key */
export async function ensureDataKey(deps: OpenDataKeysDeps, masterKey: MasterKey): Promise<void> {
  const { store, clock, random, masterKeys, failpoint } = deps
  if ((await store.dataKeys.list()).length > 0) return
  const encrypted = encryptDataKey(masterKeys, masterKey, 1, random.bytes(32))
  const now = clock.now()
  const first = {
    number: 1,
    encrypted,
    createdAt: now,
    currentFrom: now,
    firstStatusList: 0,
    invalidated: false,
  }
  await store.dataKeys.create(first)
  failpoint('start:data-key')
}

export function encryptDataKey(
  { dataKeys }: Pick<MasterKeys, 'dataKeys'>,
  masterKey: MasterKey,
  number: number,
  secret: Buffer,
): string {
  return dataKeys.encrypt(masterKey, String(number), secret.toString('base64url'))
}

/** @throws {DecryptionError} */
export function decryptDataKey(
  { dataKeys }: Pick<MasterKeys, 'dataKeys'>,
  { number, encrypted }: Pick<StoredDataKey, 'number' | 'encrypted'>,
): Buffer {
  return Buffer.from(dataKeys.decrypt(String(number), encrypted), 'base64url')
}

export function createDataKey(number: number, secret: Uint8Array, firstStatusList = 0): DataKey {
  const derived = new Map<DataKeyPurpose, KeyObject>()
  return {
    number,
    firstStatusList,
    key(purpose) {
      const key = derived.get(purpose) ?? deriveKey(secret, purpose)
      derived.set(purpose, key)
      return key
    },
  }
}

interface View {
  readonly revision: number
  readonly all: readonly DataKey[]
  readonly valid: readonly DataKey[]
  readonly stored: ReadonlyMap<number, StoredDataKey>
}

/** @throws {DecryptionError} if a data key is encrypted under a master key that this process does not have */
export async function openDataKeys({ store, clock, ages, masterKeys }: OpenDataKeysDeps): Promise<DataKeys> {
  let view = await load(undefined)
  let readAt = ages.mark()

  async function load(previous: View | undefined): Promise<View> {
    // The revision is read first, so that the next read finds a change that is made in between.
    const { dataKeys: revision } = await store.revisions.read()
    if (previous?.revision === revision) return previous
    const rows = [...(await store.dataKeys.list())].reverse()
    if (!rows.some(({ invalidated }) => !invalidated)) throw new Error('the store has no valid data key')
    const stored = new Map(rows.map((row) => [row.number, row]))
    const all = rows.map(
      (row) =>
        // A new master key changes how a data key is encrypted, not the data key.
        previous?.all.find(({ number }) => number === row.number) ??
        createDataKey(row.number, decryptDataKey(masterKeys, row), row.firstStatusList),
    )
    return { revision, all, stored, valid: all.filter(({ number }) => !stored.get(number)?.invalidated) }
  }

  async function reload(): Promise<void> {
    const startedAt = ages.mark()
    view = await load(view).catch((error) => {
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(error)
    })
    readAt = startedAt
  }

  const sync = singleFlight(reload)

  return {
    current() {
      const now = clock.now()
      const { valid, stored } = view
      // If the clock was set back to a time before all data keys, the oldest one is current.
      const key = valid.find(({ number }) => (stored.get(number)?.currentFrom ?? 0) <= now) ?? valid.at(-1)
      return key as DataKey
    },
    valid: () => view.valid,
    all: () => view.all,
    sync,
    refreshIfStale: () => (ages.since(readAt) > LEASE_MS ? sync() : undefined),
  }
}

/** Data keys that do not change, for code without a store. @param keys newest first */
export function fixedDataKeys(...keys: readonly DataKey[]): DataKeys {
  const [newest] = keys
  if (!newest) throw new Error('at least one data key is needed')
  return {
    current: () => newest,
    valid: () => keys,
    all: () => keys,
    sync: async () => {},
    refreshIfStale: () => undefined,
  }
}

/** The data key that a ciphertext or a MAC names. */
export function findDataKey(keys: readonly DataKey[], id: string): DataKey | undefined {
  return keys.find(({ number }) => String(number) === id)
}

export const namedKey = (dataKey: DataKey, purpose: DataKeyPurpose): NamedKey => ({
  id: String(dataKey.number),
  key: dataKey.key(purpose),
})

export const createFindKey =
  (keys: () => readonly DataKey[], purpose: DataKeyPurpose): FindKey =>
  (id) =>
    findDataKey(keys(), id)?.key(purpose)

/** The purpose of a cipher, and what error messages call the encrypted text. */
interface CipherUse {
  readonly purpose: DataKeyPurpose
  readonly what: string
}

/** The cipher for values that browsers carry: encrypts with the current data key, and decrypts with the valid ones. */
export function createTransitCipher(
  dataKeys: Pick<DataKeys, 'current' | 'valid'>,
  random: Pick<Random, 'bytes'>,
  { purpose, what }: CipherUse,
): Cipher {
  const current = () => namedKey(dataKeys.current(), purpose)
  return createCipher({ current, find: createFindKey(dataKeys.valid, purpose) }, random, cipherNames(what))
}

/** The cipher for values in the store: encrypts with the newest data key, and decrypts with all data keys. */
export function createStorageCipher(
  dataKeys: Pick<DataKeys, 'all'>,
  random: Pick<Random, 'bytes'>,
  { purpose, what }: CipherUse,
): Cipher {
  const current = () => namedKey(newestOf(dataKeys), purpose)
  return createCipher({ current, find: createFindKey(dataKeys.all, purpose) }, random, cipherNames(what))
}

export const newestOf = (dataKeys: Pick<DataKeys, 'all'>): DataKey => dataKeys.all()[0] as DataKey

const cipherNames = (value: string): CipherNames => ({ value, keyName: 'the data key' })
