/**
 * The checks that `doctor` and a serving process have in common, in the order of their dependencies. No check changes or creates
 * anything. A check runs even if earlier ones failed, unless it needs their results. A new check is a line below, its name in
 * `admin/findings.schema.ts`, and its name in the texts of the console.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../../config/load.ts'
import type { MasterKeys } from '../../keys/master-keys.ts'
import type { RingPolicy } from '../../keys/ring.ts'
import type { Ring } from '../../store/contracts/ring.ts'
import { databaseFile } from '../../store/database-url.ts'
import type { Store } from '../../store/index.ts'
import type { Clock } from '../../system.ts'
import { checkDatabaseFile, checkFolder, checkFreeSpace } from './disk.ts'
import type { Report } from './finding.ts'
import { checkKeys, checkMasterKey, checkMasterKeyRotation } from './keys.ts'
import { checkSchedule } from './ring.ts'

interface FilesChecked {
  /** What is kept about the store outside its database. */
  readonly recordFile: string | null
  /** Why there should be a database; null if the first start is still to come, or that is unknown. */
  readonly why: string | null
}

/** @returns the master keys, null if there are none yet, undefined if they cannot be read */
export async function checkFiles(
  { check }: Report,
  config: Config,
  { recordFile, why }: FilesChecked,
): Promise<MasterKeys | null | undefined> {
  const file = databaseFile(config.databaseUrl)
  const masterKeys = await check('master key', () => checkMasterKey(config))
  const firstStart = (folder: string) => () => `${folder} will be created at the first start`
  if (!config.masterKey)
    await check('keys folder', () => checkFolder(config.keysDir, firstStart(config.keysDir)))
  if (file !== null) {
    const folder = dirname(file)
    await check('data folder', () =>
      checkFolder(folder, why === null ? firstStart(folder) : () => missingFolder(folder, why)),
    )
    // A database that is missing is reported when the store is opened.
    if (existsSync(file)) await check('database file', () => checkDatabaseFile(file))
  }
  const written = [file, recordFile].filter((name) => name !== null)
  if (written.length > 0) await check('free space', () => checkFreeSpace(written))
  return masterKeys
}

function missingFolder(folder: string, why: string): never {
  throw new Error(`${folder} is missing, although ${why}: mount or restore it`)
}

interface KeysChecked {
  readonly store: Store
  readonly ring: Ring
  readonly config: Config
  /** undefined if they cannot be read, which was reported. */
  readonly masterKeys: MasterKeys | null | undefined
  readonly clock: Clock
  readonly policy: RingPolicy
  /** The names of the serving nodes. */
  readonly nodes: readonly string[]
}

export async function checkSigning(
  { check }: Report,
  { store, ring, config, masterKeys, clock, policy, nodes }: KeysChecked,
): Promise<void> {
  const tested =
    masterKeys === undefined
      ? undefined
      : await check('signing keys', () => checkKeys(ring, config, masterKeys))
  if (tested)
    await check('master key rotation', () => checkMasterKeyRotation(store, ring, config, tested, clock))
  await check('schedule', () => checkSchedule(ring, clock.now(), policy, nodes))
}
