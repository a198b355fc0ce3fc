/** Checks that the master key exists and decrypts everything, and that no rotation of it is unfinished. */

import { statSync } from 'node:fs'
import { commandLine } from '../../command-line.ts'
import type { Config } from '../../config/load.ts'
import { decryptDataKey } from '../../keys/data-keys.ts'
import { MASTER_KEY_FILES, masterKeyFile, readMasterKey } from '../../keys/master-key.ts'
import { createMasterKeys, type MasterKeys } from '../../keys/master-keys.ts'
import { lanesOf } from '../../keys/ring.ts'
import { oldDataKeys } from '../../keys/rotate-master-key.ts'
import { decryptAndTest } from '../../keys/self-test.ts'
import { exposedMessage, isExposedFile } from '../../secret-file.ts'
import type { Ring } from '../../store/contracts/ring.ts'
import type { Store } from '../../store/index.ts'
import { type Clock, systemRandom } from '../../system.ts'
import { count } from '../count.ts'

/** All files of master keys are looked at, also those that these settings do not use: each decrypts some copy of the database. */
export function checkMasterKey(config: Config): readonly [string, MasterKeys | null] {
  for (const which of MASTER_KEY_FILES) {
    const file = masterKeyFile(config.keysDir, which)
    if (isExposedFile(file)) throw new Error(exposedMessage(file))
  }
  const masterKeys = createMasterKeys(config, systemRandom)
  if (config.masterKey) return ['set in the settings', masterKeys]
  const file = masterKeyFile(config.keysDir)
  if (masterKeys.list().length === 0) return [`${file} does not exist yet`, null]
  // src/secret-file.ts says which group may read it.
  const readers = statSync(file).mode & 0o040 ? 'its owner and its group' : 'its owner'
  return [`${file}, readable by ${readers} only`, masterKeys]
}

export async function checkKeys(
  ring: Ring,
  config: Config,
  masterKeys: MasterKeys | null,
): Promise<readonly [string, MasterKeys]> {
  if (!masterKeys) {
    throw new Error(
      `the master key is missing, and only it decrypts the keys in the database: restore ${masterKeyFile(config.keysDir)}`,
    )
  }
  for (const { active, next } of lanesOf(ring)) {
    await decryptAndTest(active, masterKeys)
    await decryptAndTest(next, masterKeys)
  }
  const leftover = ring.keys.filter(
    ({ state, encryptedPrivateKey }) => state !== 'active' && state !== 'next' && encryptedPrivateKey,
  )
  if (leftover.length > 0) throw new Error(`${leftover[0]?.kid} no longer signs and still has a private key`)
  return ['the master key decrypts them, and the JWKS verifies their signatures', masterKeys]
}

export async function checkMasterKeyRotation(
  store: Store,
  ring: Ring,
  config: Config,
  masterKeys: MasterKeys,
  clock: Clock,
): Promise<readonly [string]> {
  for (const dataKey of await store.dataKeys.list()) decryptDataKey(masterKeys, dataKey)
  const files = !config.masterKey && !config.masterKeyNext
  const [current, next] = masterKeys.list()
  if (next) {
    const done = masterKeys.inUse(ring).id === next.id
    const finish = files
      ? `run ${commandLine('master-key rotate')}, which replaces the file`
      : 'set KEYTURN_MASTER_KEY to it, and remove KEYTURN_MASTER_KEY_NEXT'
    throw new Error(
      done
        ? `the store is encrypted under the next master key: ${finish}`
        : `there is a next master key, and the store is not encrypted under it: run ${commandLine('master-key rotate')}`,
    )
  }
  if (files && readMasterKey(config.keysDir, 'old')) {
    const old = masterKeyFile(config.keysDir, 'old')
    throw new Error(`${old} is needed only to restore older backups: store it with them, or delete it`)
  }
  const old = await oldDataKeys({ store, clock })
  const oldKeysNote =
    old.length === 0
      ? ''
      : `; ${count(old.length, 'old data key')} in use, see ${commandLine('master-key status')}`
  return [`no rotation is in progress, the master key is ${current?.id}${oldKeysNote}`]
}
