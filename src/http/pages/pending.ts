/** Binds a login that waits for its second factor to the password that was checked. */
import { createHash } from 'node:crypto'
import type { User } from '../../store/contracts/users.ts'

/** Changes when the password changes, and reveals nothing about it. */
export function fingerprint({ passwordHash }: Pick<User, 'passwordHash'>): string {
  return createHash('sha256')
    .update(passwordHash ?? '')
    .digest('base64url')
    .slice(0, 22)
}
