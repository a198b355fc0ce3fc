/**
 * A refresh token names its data key, session and generation, and carries a MAC. So a forged token is refused without the store,
 * the successor of a generation is always the same text, and no part of a token is stored. Must not know sessions except for
 * their id.
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
   * null for every text that this server did not write. It costs at most one HMAC, none if the data key is unknown, and no query
   * while the view of the data keys is recent.
   * @throws {StoreUnavailable} if that view is too old and cannot be renewed
   */
  read(token: string): Promise<RefreshTokenParts | null>
}

const PURPOSE = 'keyturn/refresh-tokens/v1'

/** The prefix lets secret scanners find leaked tokens. `.` is not a base64url letter, so the parts cannot run together. */
const SHAPE = /^ktr\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{27})\.([1-9]\d{0,9})\.([A-Za-z0-9_-]{43})$/

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
      const [, id, clientSessionId, digits, mac] = SHAPE.exec(token) ?? []
      if (!id || !clientSessionId || !digits || !mac) return null
      await dataKeys.refreshIfStale()
      const dataKey = findDataKey(dataKeys.valid(), id)
      if (!dataKey) return null
      // The MAC is compared as text, because base64url has several spellings of the same bytes.
      const expected = macOf(dataKey.key(PURPOSE), id, `${clientSessionId}.${digits}`)
      if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected))) return null
      return { clientSessionId, generation: Number(digits) }
    },
  }
}
