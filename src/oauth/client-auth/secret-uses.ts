/**
 * Records when client secrets were used, so that an administrator sees whether the old secret of a client is still in use. A token
 * request only notes the use in memory. It is stored at the next poll, and again at most once an hour. Must not know how a secret is
 * verified.
 */
import type { ClientStore, SecretUse } from '../../store/contracts/clients.ts'
import type { EpochSeconds, Logger, Seconds } from '../../system.ts'

export interface SecretUses {
  /** Notes that the secret has authenticated its client. Returns at once and never throws. */
  used(secretId: string, now: EpochSeconds): void
  /** Stores what was noted. Called at every poll. */
  flush(): Promise<void>
}

/** The stored time of the last use is at most this old while the secret is in use. */
export const SECRET_USE_INTERVAL: Seconds = 3600
/** Uses that one poll stores. The others wait for the next one. */
const MAX_BATCH = 100
/** Secrets in memory. Beyond that, all are forgotten and stored once more. */
const MAX_SECRETS = 20_000

export interface SecretUsesDeps {
  readonly clients: Pick<ClientStore, 'recordSecretUses'>
  readonly logger: Pick<Logger, 'warn'>
}

export function createSecretUses({ clients, logger }: SecretUsesDeps): SecretUses {
  /** When the use that was noted last is or will be stored, by the id of the secret. */
  const noted = new Map<string, EpochSeconds>()
  const pending = new Map<string, EpochSeconds>()

  return {
    used(secretId, now) {
      const last = noted.get(secretId)
      // After a clock was set back, the difference is negative.
      if (last !== undefined && Math.abs(now - last) < SECRET_USE_INTERVAL) return
      if (noted.size >= MAX_SECRETS) noted.clear()
      noted.set(secretId, now)
      if (pending.size < MAX_SECRETS) pending.set(secretId, now)
    },

    async flush() {
      if (pending.size === 0) return
      const batch: SecretUse[] = [...pending].slice(0, MAX_BATCH).map(([secretId, at]) => ({ secretId, at }))
      for (const { secretId } of batch) pending.delete(secretId)
      try {
        await clients.recordSecretUses(batch)
      } catch (error) {
        // Stored with the next use instead.
        for (const { secretId } of batch) noted.delete(secretId)
        logger.warn({ err: error }, 'the last uses of client secrets could not be stored')
      }
    },
  }
}
