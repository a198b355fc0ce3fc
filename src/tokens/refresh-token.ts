/**
 * A refresh token consists of data key id, session id, generation and MAC. So a forged token is refused without a query, the
 * successor of a generation is always the same text, and no part of a token is stored. Must not know more about sessions than their
 * id.
 */
import { timingSafeEqual } from 'node:crypto'
import { type DataKeys, findDataKey, namedKey } from '../keys/data-keys.ts'
import { macOf } from '../keys/macs.ts'

export interface RefreshTokenParts {
  readonly clientSessionId: string
  readonly generation: number
}

export interface RefreshTokenCodec {
  write(parts: RefreshTokenParts): string
  /**
   * Returns null unless this server created the token. Costs at most one HMAC, and no query unless the loaded data keys are
   * stale.
   * @throws {StoreUnavailable} if the data keys are stale and cannot be reloaded
   */
  read(token: string): Promise<RefreshTokenParts | null>
}

const PURPOSE = 'keyturn/refresh-tokens/v1'

/** The prefix lets secret scanners find leaked tokens. `.` is not in the base64url alphabet, so the parts are unambiguous. */
const FORMAT = /^ktr\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{27})\.([1-9]\d{0,9})\.([A-Za-z0-9_-]{43})$/

export function createRefreshTokenCodec(
  dataKeys: Pick<DataKeys, 'current' | 'valid' | 'refreshIfStale'>,
): RefreshTokenCodec {
  return {
    write({ clientSessionId, generation }) {
      const { id, key } = namedKey(dataKeys.current(), PURPOSE)
      const text = `${clientSessionId}.${generation}`
      return `ktr.${id}.${text}.${macOf(key, id, text)}`
    },

    async read(token) {
      const [, id, clientSessionId, digits, mac] = FORMAT.exec(token) ?? []
      if (!id || !clientSessionId || !digits || !mac) return null
      await dataKeys.refreshIfStale()
      const dataKey = findDataKey(dataKeys.valid(), id)
      if (!dataKey) return null
      // The MAC is compared as text, because several base64url texts decode to equal bytes.
      const expected = macOf(dataKey.key(PURPOSE), id, `${clientSessionId}.${digits}`)
      if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected))) return null
      return { clientSessionId, generation: Number(digits) }
    },
  }
}
