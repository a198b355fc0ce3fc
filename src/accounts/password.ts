/**
 * Password hashing with argon2id (RFC 9106). The only module that knows its parameters. Requests must pass the concurrency
 * limiter first.
 */
import argon2 from 'argon2'

/** The second option of the OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane, so that a login takes one thread. */
export const ARGON2_PARAMETERS = {
  type: argon2.argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
} as const

/** Longer passwords are refused before hashing, so that a stranger cannot make the server hash megabytes. */
export const MAX_PASSWORD_LENGTH = 1024

/** This limit also applies on a machine with many processors, because signing uses the same thread pool. */
export const MAX_CONCURRENT_HASHES = 2
/** When this many hashes wait, the next login is refused with 503. */
export const MAX_WAITING_HASHES = 16

/** A login with an unknown username is checked against this hash, so that it takes as long as one with a known username. */
let dummyHash: Promise<string> | undefined

/** One encoding for strings that look equal: keyboards differ in how they compose an é (RFC 8265 §4.2.2). */
const prepare = (password: string): string => password.normalize('NFC')

export function hashPassword(password: string): Promise<string> {
  return argon2.hash(prepare(password), ARGON2_PARAMETERS)
}

export interface PasswordCheck {
  readonly ok: boolean
  /** The password is correct, but the parameters have changed since it was hashed: the caller should hash it again. */
  readonly outdated: boolean
}

/** @param hash undefined if the account does not exist: takes as long, and is never ok */
export async function verifyPassword(hash: string | undefined, password: string): Promise<PasswordCheck> {
  dummyHash ??= hashPassword('\0')
  const lengthOk = password.length <= MAX_PASSWORD_LENGTH
  const matches = await argon2.verify(hash ?? (await dummyHash), lengthOk ? prepare(password) : '')
  if (!matches || !lengthOk || hash === undefined) return { ok: false, outdated: false }
  return { ok: true, outdated: argon2.needsRehash(hash, ARGON2_PARAMETERS) }
}
