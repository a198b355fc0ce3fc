/** argon2id (RFC 9106): the only module that knows its parameters. Callers that serve strangers pass a concurrency limiter first. */
import argon2 from 'argon2'

/** OWASP's second choice for argon2id: 19 MiB, two passes, one lane, so that a login takes one thread. */
export const ARGON2_PARAMETERS = {
  type: argon2.argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
} as const

/** A longer password is refused before it is hashed: hashing a megabyte for a stranger would cost us, not the stranger. */
export const MAX_PASSWORD_LENGTH = 1024
/** NIST SP 800-63B §5.1.1.2. */
export const MIN_PASSWORD_LENGTH = 8

/** At once, also on a machine with many processors: what hashing takes, signing has to wait for. */
export const MAX_CONCURRENT_HASHES = 2
/** The next one is refused with 503. */
export const MAX_WAITING_HASHES = 16

/** Of a password that no user has; a login with an unknown username is checked against it, so that it takes as long. */
let dummyHash: Promise<string> | undefined

/** One spelling for what looks the same: keyboards differ in how they write an é (RFC 8265 §4.2.2). */
const prepare = (password: string): string => password.normalize('NFC')

export function hashPassword(password: string): Promise<string> {
  return argon2.hash(prepare(password), ARGON2_PARAMETERS)
}

export interface Verdict {
  readonly ok: boolean
  /** Right, but the parameters have changed since it was stored: it should be hashed and stored again. */
  readonly outdated: boolean
}

/** With `hash` undefined (no such account) it takes as long, and is false. */
export async function verifyPassword(hash: string | undefined, password: string): Promise<Verdict> {
  dummyHash ??= hashPassword('\0')
  const fits = password.length <= MAX_PASSWORD_LENGTH
  const same = await argon2.verify(hash ?? (await dummyHash), fits ? prepare(password) : '')
  if (!same || !fits || hash === undefined) return { ok: false, outdated: false }
  return { ok: true, outdated: argon2.needsRehash(hash, ARGON2_PARAMETERS) }
}
