/**
 * The master keys that a process has: the current one and, while the store moves to another master key, the next one.
 * Every ciphertext in the store names the master key that it is encrypted under. Must not know which master key the store should
 * be encrypted under.
 */
import type { KeyObject } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Ring } from '../store/contracts/ring.ts'
import type { Random } from '../system.ts'
import {
  type CipherNames,
  DecryptionError,
  decrypt,
  deriveKey,
  encrypt,
  keyIdOf,
  type MasterKeyPurpose,
  missingKey,
} from './encryption.ts'
import { masterKeyFile, readMasterKey } from './master-key.ts'
import { lanesOf } from './ring.ts'

export interface MasterKey {
  /** Names the key in ciphertexts, in messages and at other nodes. It reveals nothing about the key. */
  readonly id: string
  readonly key: Buffer
}

/** Encrypts with a given master key, and decrypts with the one that the text names. */
interface MasterKeyCipher {
  encrypt(masterKey: MasterKey, context: string, plaintext: string): string
  /** @throws {DecryptionError} */
  decrypt(context: string, ciphertext: string): string
}

export interface MasterKeys {
  /** The current key first, then the next one. */
  list(): readonly MasterKey[]
  readonly privateKeys: MasterKeyCipher
  readonly dataKeys: MasterKeyCipher
  /**
   * The master key that the private keys of a ring are encrypted under.
   * @throws {DecryptionError} if this process does not have it
   */
  inUse(ring: Ring): MasterKey
  /** Reads the files again if they have changed and the keys come from files. */
  refresh(): void
}

interface MasterKeySource {
  readonly keysDir: string
  /** The key from the settings. If it is set, the file is not read. */
  readonly masterKey: Buffer | null
  readonly masterKeyNext: Buffer | null
}

const PRIVATE_KEYS: CipherNames = { value: 'the private key', keyName: 'the master key' }
const DATA_KEYS: CipherNames = { value: 'the data key', keyName: 'the master key' }

/** Computed from a derived key, so that the id is not a digest of the master key itself. */
export function masterKeyId(masterKey: Uint8Array): string {
  return deriveKey(masterKey, 'keyturn/master-key-id/v1').export().toString('base64url').slice(0, 12)
}

/** @throws {InvalidMasterKey} */
export function createMasterKeys(source: MasterKeySource, random: Pick<Random, 'bytes'>): MasterKeys {
  const folder = source.masterKey ? null : source.keysDir
  let stamp = ''
  let loaded: readonly MasterKey[] = []
  const derived = new Map<string, KeyObject>()
  read()

  function read(): void {
    // The next key is read first: between the two reads, the next key can become the current one, but not the reverse.
    const next = source.masterKeyNext ?? (folder === null ? null : readNext(folder))
    const current = source.masterKey ?? (folder === null ? null : readMasterKey(folder))
    const keys = [current, next].filter((key) => key !== null)
    loaded = keys
      .filter((key, i) => i === 0 || !keys[0]?.equals(key))
      .map((key) => ({ key, id: masterKeyId(key) }))
  }

  function refresh(): void {
    if (folder === null) return
    try {
      const newStamp = stampOf(folder)
      if (newStamp === stamp) return
      const previous = loaded
      read()
      // A running server drops a key only after the next key has replaced it. If a file was deleted or replaced by hand, the
      // server keeps its keys, and the next start reports the problem.
      const [current] = loaded
      if (!current || !previous.some(hasIdOf(current)))
        loaded = [...loaded, ...previous.filter((key) => !loaded.some(hasIdOf(key)))]
      stamp = newStamp
    } catch {
      // If a file cannot be read, the server keeps its keys too.
    }
  }

  /** Reads the files again for an unknown id: another process may have encrypted the text under a new master key. */
  function find(id: string): MasterKey | undefined {
    const known = loaded.find((key) => key.id === id)
    if (known) return known
    refresh()
    return loaded.find((key) => key.id === id)
  }

  function keyFor(purpose: MasterKeyPurpose, { id, key }: MasterKey): KeyObject {
    const name = `${purpose} ${id}`
    const known = derived.get(name) ?? deriveKey(key, purpose)
    derived.set(name, known)
    return known
  }

  const cipherFor = (purpose: MasterKeyPurpose, names: CipherNames): MasterKeyCipher => ({
    encrypt: (masterKey, context, plaintext) =>
      encrypt({ id: masterKey.id, key: keyFor(purpose, masterKey) }, context, plaintext, random),
    decrypt(context, ciphertext) {
      const findKey = (id: string) => {
        const masterKey = find(id)
        return masterKey && keyFor(purpose, masterKey)
      }
      return decrypt(findKey, context, ciphertext, names)
    },
  })

  return {
    list: () => loaded,
    privateKeys: cipherFor('keyturn/private-keys/v1', PRIVATE_KEYS),
    dataKeys: cipherFor('keyturn/data-keys/v1', DATA_KEYS),
    inUse(ring) {
      // Another signing key is used if one is damaged, so that an administrator can still replace the damaged key.
      const keys = lanesOf(ring).flatMap(({ active, next }) => [active, next])
      const candidates = keys.map(({ kid, encryptedPrivateKey: text }) => ({ kid, id: keyIdOf(text ?? '') }))
      for (const { id } of candidates) {
        const masterKey = id === undefined ? undefined : find(id)
        if (masterKey) return masterKey
      }
      const { kid, id } = candidates.find((key) => key.id !== undefined) ?? { kid: candidates[0]?.kid }
      const name = `${PRIVATE_KEYS.value} ${kid}`
      if (id === undefined) throw new DecryptionError(name, 'the text is damaged')
      throw missingKey(name, PRIVATE_KEYS.keyName, id)
    },
    refresh,
  }
}

const hasIdOf = (a: MasterKey) => (b: MasterKey) => a.id === b.id

/** If neither file can be read, the error is about the current key. @throws {InvalidMasterKey} */
function readNext(keysDir: string): Buffer | null {
  try {
    return readMasterKey(keysDir, 'next')
  } catch (error) {
    readMasterKey(keysDir)
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
