import { createHash } from 'node:crypto'

/** The store contains only this hash of a code. A slow hash is unnecessary, because a code has 256 random bits. */
export function hashCode(code: string): string {
  return createHash('sha256').update(code).digest('base64url')
}
