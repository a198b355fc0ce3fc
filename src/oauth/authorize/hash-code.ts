import { createHash } from 'node:crypto'

/** The store holds only this hash of a code. 256 random bits need no slow hash. */
export function hashCode(code: string): string {
  return createHash('sha256').update(code).digest('base64url')
}
