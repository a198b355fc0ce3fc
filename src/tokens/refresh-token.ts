/**
 * A refresh token says which session and which generation, and proves by a MAC that this server wrote it. So a
 * made-up one is refused by arithmetic, the successor of a generation is always the same text, and nothing of
 * it is stored. Must not know sessions beyond their id.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { deriveKey } from '../keys/seal.ts'

export interface RefreshTokenParts {
  readonly sessionId: string
  readonly generation: number
}

export interface RefreshTokenCodec {
  write(parts: RefreshTokenParts): string
  /** null for anything that this server did not write; costs one HMAC and no look at the store. */
  read(token: string): RefreshTokenParts | null
}

/** Lets secret scanners find a leaked one. */
const PREFIX = 'ktr'
/** `.` is no base64url letter, so the parts cannot run into each other. */
const SHAPE = /^ktr\.([A-Za-z0-9_-]{27})\.([1-9]\d{0,9})\.([A-Za-z0-9_-]{43})$/

export function createRefreshTokenCodec(masterKey: Uint8Array): RefreshTokenCodec {
  // As a key object: from bytes Node would make one for each MAC, which takes longer than the MAC.
  const key = createSecretKey(deriveKey(masterKey, 'keyturn/refresh-token-mac/v1'))

  function mac(sessionId: string, generation: number): Buffer {
    return createHmac('sha256', key).update(`${sessionId}.${generation}`).digest()
  }

  return {
    write({ sessionId, generation }) {
      return `${PREFIX}.${sessionId}.${generation}.${mac(sessionId, generation).toString('base64url')}`
    },

    read(token) {
      const [, sessionId, digits, text] = SHAPE.exec(token) ?? []
      if (!sessionId || !digits || !text) return null
      const given = Buffer.from(text, 'base64url')
      // The last letter of 43 carries spare bits: only the one spelling that we write is ours.
      if (given.toString('base64url') !== text) return null
      const generation = Number(digits)
      return timingSafeEqual(given, mac(sessionId, generation)) ? { sessionId, generation } : null
    },
  }
}
