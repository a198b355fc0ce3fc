/**
 * Password hashing with argon2id (RFC 9106). The only module that knows its parameters. Requests must pass the concurrency
 * limiter first.
 */
import { timingSafeEqual } from 'node:crypto'
import argon2 from 'argon2'
import { systemRandom } from '../system.ts'
import { isVisible } from '../visible-text.ts'
import { type Argon2Parameters, formatHash, parseHash } from './argon2-string.ts'
import type { HashOnThread } from './hashing-threads.ts'

/** The second option of the OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane, so that a login takes one thread. */
export const ARGON2_PARAMETERS = {
  type: argon2.argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
} as const

/** In code points. Longer passwords are refused before hashing, so that a stranger cannot make the server hash megabytes. */
export const MAX_PASSWORD_LENGTH = 1024

const SALT_BYTES = 16
const HASH_BYTES = 32

/** Where this process hashes: on threads of its own, or, if undefined, on the thread pool with the library. */
let threads: HashOnThread | undefined

export function hashOnThreads(hashOnThread: HashOnThread | undefined): void {
  threads = hashOnThread
}

/**
 * One encoding for passwords that are typed in the same way: keyboards differ in which space they have and in how they compose an é
 * (RFC 8265 §4.2.2, the OpaqueString profile). Case, width and spaces at the ends are part of a password. null if it is too long, or
 * has characters that people cannot see, such as controls (RFC 8264 §4.3.3); joiners and variation selectors are accepted as in names,
 * because emoji consist of them.
 */
export function preparePassword(password: string): string | null {
  // Length first: the time to normalize combining marks grows with the square of their number. A code point has one or two units.
  if (password.length > 2 * MAX_PASSWORD_LENGTH) return null
  const prepared = password.replace(/\p{Zs}/gu, ' ').normalize('NFC')
  return isVisible(prepared) && passwordLength(prepared) <= MAX_PASSWORD_LENGTH ? prepared : null
}

/** In code points: a character outside the basic plane is one character for the person who types it. */
export const passwordLength = (prepared: string): number => [...prepared].length

/**
 * @param password one that {@link preparePassword} accepts
 * @param beside a hash whose salt is used, so that {@link findHash} can check both with one hash
 */
export async function hashPassword(password: string, beside?: string): Promise<string> {
  const prepared = preparePassword(password)
  if (prepared === null) throw new Error('a password was not checked before it was hashed')
  return hash(prepared, beside === undefined ? undefined : saltOf(beside))
}

/** Whether the hash was made with other parameters than new ones are. */
export const isOutdated = (hash: string): boolean => argon2.needsRehash(hash, ARGON2_PARAMETERS)

/** The salt of an argon2 string: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. */
const saltOf = (hash: string): Buffer => Buffer.from(hash.split('$')[4] ?? '', 'base64')

function newParameters(salt: Buffer): Argon2Parameters {
  const { memoryCost: memory, timeCost: passes, parallelism: lanes } = ARGON2_PARAMETERS
  return { memory, passes, lanes, length: HASH_BYTES, salt }
}

/** If a thread ends, or none can be started, the thread pool does its work: nobody is kept out by that. */
async function hashOn(
  hashOnThread: HashOnThread,
  prepared: string,
  parameters: Argon2Parameters,
): Promise<Uint8Array> {
  try {
    return await hashOnThread({ ...parameters, password: prepared })
  } catch {
    const { memory: memoryCost, passes: timeCost, lanes: parallelism, length: hashLength, salt } = parameters
    const cost = { memoryCost, timeCost, parallelism, hashLength }
    return argon2.hash(prepared, { ...cost, type: argon2.argon2id, salt: Buffer.from(salt), raw: true })
  }
}

async function hash(prepared: string, salt: Buffer = systemRandom.bytes(SALT_BYTES)): Promise<string> {
  if (!threads) return argon2.hash(prepared, { ...ARGON2_PARAMETERS, salt })
  const parameters = newParameters(salt)
  return formatHash({ ...parameters, hash: await hashOn(threads, prepared, parameters) })
}

async function verify(stored: string, prepared: string): Promise<boolean> {
  const parsed = threads ? parseHash(stored) : null
  if (!threads || !parsed) return argon2.verify(stored, prepared)
  const { hash, ...parameters } = parsed
  return timingSafeEqual(await hashOn(threads, prepared, parameters), hash)
}

export interface PasswordCheck {
  readonly ok: boolean
  /** The password is correct, but the parameters have changed since it was hashed: the caller should hash it again. */
  readonly outdated: boolean
}

/** A login with an unknown username is checked against this, so that it takes as long as one with a known username. No password has it. */
const dummyHash = (): string =>
  formatHash({ ...newParameters(Buffer.alloc(SALT_BYTES)), hash: Buffer.alloc(HASH_BYTES) })

/** @param stored null or undefined if the account does not exist or has no password: takes as long, and is never ok */
export async function verifyPassword(
  stored: string | null | undefined,
  password: string,
): Promise<PasswordCheck> {
  const prepared = preparePassword(password)
  const matches = await verify(stored ?? dummyHash(), prepared ?? '')
  if (!matches || prepared === null || stored == null) return { ok: false, outdated: false }
  return { ok: true, outdated: isOutdated(stored) }
}

/**
 * Returns the hash that is of the password; null if none is. However many there are, it takes as long as the verification of one: all
 * were hashed beside the first (see {@link hashPassword}).
 */
export async function findHash(hashes: readonly string[], password: string): Promise<string | null> {
  const [first, ...others] = hashes
  if (first === undefined || others.length === 0) {
    return (await verifyPassword(first, password)).ok && first !== undefined ? first : null
  }
  const prepared = preparePassword(password)
  const sent = Buffer.from(await hash(prepared ?? '', saltOf(first)))
  const found = hashes.filter((hash) => isSame(Buffer.from(hash), sent))
  return prepared === null ? null : (found[0] ?? null)
}

const isSame = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
