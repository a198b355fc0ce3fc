/** The keys that sign the head of the audit log, derived from the data keys. Must not know what is signed. */
import type { AuditKeys } from '../audit/chain.ts'
import type { Config } from '../config/load.ts'
import type { Store } from '../store/index.ts'
import { systemRandom } from '../system.ts'
import { createDataKey, type DataKey, decryptDataKey, fixedDataKeys } from './data-keys.ts'
import { createMacs, dataKeyOf } from './macs.ts'
import { createMasterKeys, type MasterKeys } from './master-keys.ts'

/**
 * The returned function reads the keys when they are first needed, because most commands need none. Resolves with null if there
 * are none yet.
 */
export function auditKeys(
  config: Config,
  { dataKeys }: Pick<Store, 'dataKeys'>,
): () => Promise<AuditKeys | null> {
  let opened: MasterKeys | undefined
  return async () => {
    // Read each time, because another node may have signed with a newer data key.
    const stored = await dataKeys.list()
    opened ??= createMasterKeys(config, systemRandom)
    const masterKeys = opened
    if (masterKeys.list().length === 0) masterKeys.refresh()
    if (stored.length === 0 || masterKeys.list().length === 0) return null
    const keys = stored.map((row) => createDataKey(row.number, decryptDataKey(masterKeys, row)))
    const invalidated = stored.filter((row) => row.invalidated).map(({ number }) => number)
    return createAuditKeys(keys.reverse(), invalidated)
  }
}

/**
 * @param keys newest first, including those that were invalidated
 * @param invalidated numbers of the invalidated keys
 */
export function createAuditKeys(keys: readonly DataKey[], invalidated: readonly number[] = []): AuditKeys {
  const macs = createMacs(fixedDataKeys(...keys), 'keyturn/audit-head/v1')
  return {
    create: macs.create,
    check(text, mac) {
      const dataKey = dataKeyOf(mac)
      if (dataKey === null || !macs.verify(text, mac)) return { by: 'unknown' }
      if (dataKey === keys[0]?.number) return { by: 'newest' }
      return { by: 'older', dataKey, invalidated: invalidated.includes(dataKey) }
    },
  }
}
