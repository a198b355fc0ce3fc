/**
 * A refresh token says which session and which generation, and proves by a MAC that this server wrote it. So a
 * made-up one is refused by arithmetic, the successor of a generation is always the same text, and nothing of
 * it is stored. Must not know sessions beyond their id.
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
   * null for anything that this server did not write; costs one HMAC, and no look at the store as long as it is followed.
   * @throws {StoreUnavailable} if nobody could say, because it could not be followed for a while
   */
  read(token: string): Promise<RefreshTokenParts | null>
}

/** Lets secret scanners find a leaked one. */
const PREFIX = 'ktr'
/** `.` is no base64url letter, so the parts cannot run into each other. */
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
      // The last letter of 43 carries spare bits: only the one spelling that we write is ours.
      if (given.toString('base64url') !== text) return null
      const generation = Number(digits)
      await roots.current()
      const ours = roots.accepted().some((root) => timingSafeEqual(given, mac(root, sessionId, generation)))
      return ours ? { sessionId, generation } : null
    },
  }
}
