/** The lifetime of access tokens that a client or an API may set, with the bounds of KEYTURN_ACCESS_TOKEN_TTL. */
import type { Seconds } from '../system.ts'
import { invalidValue } from './errors.ts'

export const MIN_ACCESS_TOKEN_TTL: Seconds = 1
export const MAX_ACCESS_TOKEN_TTL: Seconds = 86_400

/** @throws {AdminError} */
export function checkAccessTokenTtl(seconds: Seconds | null): void {
  if (seconds === null) return
  if (Number.isInteger(seconds) && seconds >= MIN_ACCESS_TOKEN_TTL && seconds <= MAX_ACCESS_TOKEN_TTL) return
  throw invalidValue('access_token_ttl', 'access_token_ttl must be 1 to 86400 seconds')
}
