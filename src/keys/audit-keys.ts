/** The keys that sign the head of the audit log, derived from the data keys. Must not know what is signed. */
import type { AuditKeys } from '../audit/chain.ts'
import type { Config } from '../config/load.ts'
import type { Store } from '../store/index.ts'
import { systemRandom } from '../system.ts'
import { createDataKey, decryptDataKey, fixedDataKeys } from './data-keys.ts'
import { createMacs } from './macs.ts'
import { createMasterKeys, type MasterKeys } from './master-keys.ts'

/** The returned function reads the keys when they are first needed, because most commands need none. Resolves with null if there are none yet. */
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
    // All data keys, because an invalidated one may have signed the current head.
    const keys = stored.map((row) => createDataKey(row.number, decryptDataKey(masterKeys, row)))
    return createMacs(fixedDataKeys(...keys.reverse()), 'keyturn/audit-head/v1')
  }
}
