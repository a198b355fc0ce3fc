/** The keys that sign the head of the audit log, derived from the data keys. Must not know what is signed. */
import type { AuditKeys } from '../audit/chain.ts'
import type { Config } from '../config/load.ts'
import type { Store } from '../store/index.ts'
import { systemRandom } from '../system.ts'
import { openRoot } from './data-keys.ts'
import { deriveKey } from './encryption.ts'
import { createKeyHolder, type KeyHolder } from './master-keys.ts'

/** Reads the keys only when there is something to sign, because most commands need no key. null if there are none yet. */
export function auditKeys(config: Config, { roots }: Pick<Store, 'roots'>): () => Promise<AuditKeys | null> {
  let holder: KeyHolder | undefined
  return async () => {
    // Read each time, because another node may have signed with a newer data key.
    const stored = await roots.list()
    holder ??= createKeyHolder(config, systemRandom)
    const held = holder
    if (held.keys().length === 0) held.refresh()
    if (held.keys().length === 0) return null
    const keys = stored.map((root) => deriveKey(openRoot(held, root), 'keyturn/audit-head/v1'))
    const writing = keys.at(-1)
    return writing ? { writing, accepted: keys } : null
  }
}
