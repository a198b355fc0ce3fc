/**
 * The master keys that a process has: one, or while the store is resealed two. What it finds opens with whichever fits; what
 * it seals, it seals like what it found. Must not know which of them the store should be sealed with.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Ring } from '../store/contracts/ring.ts'
import type { Random } from '../system.ts'
import {
  createSealer,
  createSealerOf,
  deriveKey,
  type MasterPurpose,
  PRIVATE_KEYS,
  SealBroken,
  type Sealed,
  type Sealer,
  type Specimen,
} from './encryption.ts'
import { masterKeyFile, readMasterKey } from './master-key.ts'
import { activeKey, nextKey } from './ring.ts'

export interface MasterKey {
  readonly key: Buffer
  /** Says which key it is, and nothing about it. */
  readonly fingerprint: string
}

export interface KeyHolder {
  /** The current key first; then the next one. */
  keys(): readonly MasterKey[]
  /** For private keys. */
  readonly sealer: Sealer
  readonly rootSealer: Sealer
  /** The key that a ring is sealed with. @throws {SealBroken} */
  openerOf(ring: Ring): MasterKey
  /** Looks at the files again, if they are where the keys are from. */
  refresh(): void
}

export interface KeySource {
  readonly keysDir: string
  /** From the settings; then no file is read. */
  readonly masterKey: Buffer | null
  readonly masterKeyNext: Buffer | null
}

export const ROOT: Sealed<MasterPurpose> = { purpose: 'keyturn/seal-roots/v1', what: 'the root' }

/** Of what the ring is sealed with: one that is damaged must not keep its owner from replacing it. */
export const specimensOf = (ring: Ring): Specimen[] =>
  [activeKey(ring), nextKey(ring)].map(({ kid, sealed }) => ({ label: kid, sealed: sealed ?? '' }))

export function fingerprintOf(masterKey: Uint8Array): string {
  return deriveKey(masterKey, 'keyturn/fingerprint/v1').toString('base64url').slice(0, 12)
}

/** @throws {MasterKeyProblem} */
export function createKeyHolder(source: KeySource, random: Pick<Random, 'bytes'>): KeyHolder {
  const files = source.masterKey ? null : source.keysDir
  let stamp = ''
  let held: readonly MasterKey[] = []
  const derived = new Map<string, KeyObject>()
  read()

  function read(): void {
    // First, because the next key takes the place of the current one, not the other way round.
    const next = source.masterKeyNext ?? (files === null ? undefined : readNext(files))
    const current = source.masterKey ?? (files === null ? undefined : readMasterKey(files))
    const keys = [current, next].filter((key) => key !== undefined)
    held = keys
      .filter((key, i) => i === 0 || !keys[0]?.equals(key))
      .map((key) => ({ key, fingerprint: fingerprintOf(key) }))
  }

  function refresh(): void {
    if (files === null) return
    try {
      const seen = stampOf(files)
      if (seen === stamp) return
      const before = held
      read()
      // Only a key that was there as the next one takes the place of another. If a file was deleted, or exchanged by hand, what
      // serves goes on; the next start says what is wrong.
      const [now] = held
      if (!now || !before.some(same(now))) held = [...held, ...before.filter((key) => !held.some(same(key)))]
      stamp = seen
    } catch {
      // As above.
    }
  }

  const keysFor = (purpose: MasterPurpose) => (): KeyObject[] =>
    held.map(({ key, fingerprint }) => {
      const name = `${purpose} ${fingerprint}`
      const known = derived.get(name) ?? createSecretKey(deriveKey(key, purpose))
      derived.set(name, known)
      return known
    })

  /** What has begun with one key may find another in the store by now. */
  function again<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      const before = held
      refresh()
      if (held === before) throw error
      return work()
    }
  }

  function tried({ purpose, what }: Sealed<MasterPurpose>): Sealer {
    const sealer = createSealerOf(keysFor(purpose), random, what)
    return {
      seal: (label, plain, like) => again(() => sealer.seal(label, plain, like)),
      open: (label, sealed) => again(() => sealer.open(label, sealed)),
    }
  }

  return {
    keys: () => held,
    sealer: tried(PRIVATE_KEYS),
    rootSealer: tried(ROOT),
    openerOf: (ring) =>
      again(() => {
        const specimens = specimensOf(ring)
        const opener = held.find(({ key }) =>
          specimens.some(({ label, sealed }) => opens(createSealer(key, random), label, sealed)),
        )
        if (!opener) throw new SealBroken(`${PRIVATE_KEYS.what} ${specimens[0]?.label}`)
        return opener
      }),
    refresh,
  }
}

const same = (one: MasterKey) => (other: MasterKey) => one.fingerprint === other.fingerprint

/** Where neither can be read, it is the current key that is missed. @throws {MasterKeyProblem} */
function readNext(keysDir: string): Buffer | undefined {
  try {
    return readMasterKey(keysDir, 'next')
  } catch (error) {
    readMasterKey(keysDir)
    throw error
  }
}

function opens(sealer: Sealer, label: string, sealed: string): boolean {
  try {
    sealer.open(label, sealed)
    return true
  } catch (error) {
    if (error instanceof SealBroken) return false
    throw error
  }
}

function stampOf(keysDir: string): string {
  return (['current', 'next'] as const)
    .map((which) => {
      const stat = statSync(masterKeyFile(keysDir, which), { throwIfNoEntry: false, bigint: true })
      return stat ? `${stat.ino} ${stat.mtimeNs}` : '-'
    })
    .join()
}
