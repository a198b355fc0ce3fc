import { createHash } from 'node:crypto'

/** What the store knows of a code: 256 random bits need no slow hash. */
export function hashCode(code: string): string {
  return createHash('sha256').update(code).digest('base64url')
}
