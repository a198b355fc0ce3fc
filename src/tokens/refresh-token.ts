/**
 * A refresh token names its session and generation, with a MAC that proves that this server wrote it. So a forged token
 * is refused without the store, the successor of a generation is always the same text, and no token is stored. Must not
 * know sessions beyond their id.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Root, Roots } from '../keys/data-keys.ts'

export interface RefreshTokenParts {
  readonly sessionId: string
  readonly generation: number
}

export interface RefreshTokenCodec {
  write(parts: RefreshTokenParts): string
  /**
   * null for any text that this server did not write. Costs one HMAC, and reads the store only if its changes have not been
   * polled for a while.
   * @throws {StoreUnavailable} if the store does not answer then
   */
  read(token: string): Promise<RefreshTokenParts | null>
}

/** Lets secret scanners find a leaked token. */
const PREFIX = 'ktr'
/** `.` is not in the alphabet of base64url, so the parts are unambiguous. */
const SHAPE = /^ktr\.([A-Za-z0-9_-]{27})\.([1-9]\d{0,9})\.([A-Za-z0-9_-]{43})$/

export function createRefreshTokenCodec(
  roots: Pick<Roots, 'writing' | 'accepted' | 'current'>,
): RefreshTokenCodec {
  function mac(root: Root, sessionId: string, generation: number): Buffer {
    const key = root.key('keyturn/refresh-token-mac/v1')
    return createHmac('sha256', key).update(`${sessionId}.${generation}`).digest()
  }

  return {
    write({ sessionId, generation }) {
      return `${PREFIX}.${sessionId}.${generation}.${mac(roots.writing(), sessionId, generation).toString('base64url')}`
    },

    async read(token) {
      const [, sessionId, digits, text] = SHAPE.exec(token) ?? []
      if (!sessionId || !digits || !text) return null
      const given = Buffer.from(text, 'base64url')
      // The last of 43 characters has spare bits: only the canonical spelling is accepted.
      if (given.toString('base64url') !== text) return null
      const generation = Number(digits)
      await roots.current()
      const genuine = roots
        .accepted()
        .some((root) => timingSafeEqual(given, mac(root, sessionId, generation)))
      return genuine ? { sessionId, generation } : null
    },
  }
}
