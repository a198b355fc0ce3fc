/** Re-encrypts the secrets of authenticator apps with the newest data key, so that none depends on an older one. */
import { createStorageCipher, type DataKeys } from '../keys/data-keys.ts'
import { DecryptionError } from '../keys/encryption.ts'
import type { FactorStore } from '../store/contracts/factors.ts'
import type { Random } from '../system.ts'
import { TOTP_SECRETS } from './totp.ts'

/** Secrets in one pass. Bounds how long a concurrent request waits. */
const BATCH = 100

interface ReencryptFactorsDeps {
  readonly factors: Pick<FactorStore, 'listTotpBefore' | 'reencryptTotp'>
  readonly dataKeys: Pick<DataKeys, 'all'>
  readonly random: Pick<Random, 'bytes'>
}

/** The function that is returned resolves with the number of re-encrypted secrets. */
export function createReencryptFactors({
  factors,
  dataKeys,
  random,
}: ReencryptFactorsDeps): () => Promise<number> {
  const cipher = createStorageCipher(dataKeys, random, TOTP_SECRETS)

  async function reencrypt(userId: string, ciphertext: string, dataKey: number): Promise<boolean> {
    try {
      const secret = cipher.encrypt(userId, cipher.decrypt(userId, ciphertext))
      return await factors.reencryptTotp(userId, ciphertext, secret, dataKey)
    } catch (error) {
      // A damaged secret must not block those of other users.
      if (error instanceof DecryptionError) return false
      throw error
    }
  }

  return async () => {
    const [newest, ...older] = dataKeys.all()
    let reencrypted = 0
    while (newest && older.length > 0) {
      const rows = await factors.listTotpBefore(newest.number, BATCH)
      let changed = 0
      for (const { userId, encryptedSecret } of rows)
        if (await reencrypt(userId, encryptedSecret, newest.number)) changed += 1
      reencrypted += changed
      // Rows that were not changed are deleted, damaged, or changed concurrently. Trying them again could loop forever.
      if (rows.length < BATCH || changed === 0) break
    }
    return reencrypted
  }
}
