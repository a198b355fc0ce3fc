/** The doctor's look at master keys: is there one, does it open everything, is a reseal half done. */
import type { Config } from '../config/load.ts'
import { openRoot } from '../keys/data-keys.ts'
import { masterKeyFile, readMasterKey } from '../keys/master-key.ts'
import { createKeyHolder, type KeyHolder } from '../keys/master-keys.ts'
import * as law from '../keys/ring.ts'
import { oldRoots } from '../keys/rotate-master-key.ts'
import { openTested } from '../keys/self-test.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { Db } from '../store/db.ts'
import { createStore } from '../store/index.ts'
import { type Clock, systemRandom } from '../system.ts'
import { count } from './output.ts'

export function checkMasterKey(config: Config): readonly [string, KeyHolder | null] {
  const holder = createKeyHolder(config, systemRandom)
  if (config.masterKey) return ['given by the settings', holder]
  const file = masterKeyFile(config.keysDir)
  return holder.keys().length > 0
    ? [`${file}, readable by its owner alone`, holder]
    : [`${file} is not there yet`, null]
}

export async function checkKeys(
  ring: Ring,
  config: Config,
  holder: KeyHolder | null,
): Promise<readonly [string, KeyHolder]> {
  if (!holder) {
    throw new Error(
      `no master key, and the database has keys that only it opens: restore ${masterKeyFile(config.keysDir)}`,
    )
  }
  for (const key of [law.activeKey(ring), law.nextKey(ring)]) {
    await openTested(key, holder.sealer)
  }
  const kept = ring.keys.filter(({ state, sealed }) => state !== 'active' && state !== 'next' && sealed)
  if (kept.length > 0) throw new Error(`${kept[0]?.kid} no longer signs and still has a private half`)
  return ['the master key opens them, and they sign what the JWKS verifies', holder]
}

export async function checkReseal(
  db: Db,
  ring: Ring,
  config: Config,
  holder: KeyHolder,
  clock: Clock,
): Promise<readonly [string]> {
  const store = createStore(db)
  for (const root of await store.roots.list()) openRoot(holder, root)
  const files = !config.masterKey && !config.masterKeyNext
  const [current, next] = holder.keys()
  if (next) {
    const done = holder.openerOf(ring).fingerprint === next.fingerprint
    const finish = files
      ? 'run keyturn keys reseal, which puts it in its place'
      : 'make it KEYTURN_MASTER_KEY, and take KEYTURN_MASTER_KEY_NEXT away'
    throw new Error(
      done
        ? `the store is sealed with the next master key: ${finish}`
        : 'there is a next master key, and the store is not sealed with it: run keyturn keys reseal',
    )
  }
  if (files && readMasterKey(config.keysDir, 'old')) {
    const old = masterKeyFile(config.keysDir, 'old')
    throw new Error(`${old} opens backups of before and nothing here: move it to them, or delete it`)
  }
  const old = await oldRoots({ store, clock })
  const kept =
    old.length === 0 ? '' : `; ${count(old.length, 'old root')} in use, see keyturn keys reseal --status`
  return [`none under way, the master key is ${current?.fingerprint}${kept}`]
}
