/**
 * What Keyturn takes from the machine: time, randomness, a log, and fail points for crash tests. Must not know anything about
 * OAuth. Add here what a test needs to control and production takes for granted.
 */
import { randomBytes, randomFillSync } from 'node:crypto'

/** Whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, NumericDate without fractions). */
export type EpochSeconds = number

/** A length of time in whole seconds. */
export type Seconds = number

export interface Clock {
  now(): EpochSeconds
}

/** Milliseconds of a clock that is never set. It does not count the time that the machine sleeps. */
export type Monotonic = () => number

/** A moment by both clocks of the machine. */
interface Mark {
  readonly at: EpochSeconds
  readonly monotonic: number
}

/** How long ago a moment was, in milliseconds, even if the process was frozen or the machine slept since. */
export interface Ages {
  mark(): Mark
  since(mark: Mark): number
}

export interface Random {
  bytes(size: number): Buffer
  /** An unguessable identifier of 160 bits, base64url (RFC 6749 §10.10 recommends a probability of guessing of at most 2^-160). */
  id(): string
}

type LogMethod = {
  (fields: object, message?: string): void
  (message: string): void
}

/** The part of pino that Keyturn uses. */
export interface Logger {
  debug: LogMethod
  info: LogMethod
  warn: LogMethod
  error: LogMethod
}

/**
 * Named places between the steps of work that must survive a crash. Production does nothing there; the crash tests kill the
 * process. The names are a closed list, so that a test can visit every one.
 */
export const FAILPOINTS = [
  'start:migrated',
  'start:master-key',
  'start:data-key',
  'start:ring',
  'refresh:verified',
  'refresh:rotated',
  'token:issued',
  'rotate:generated',
  'rotate:committed',
  'cover:extended',
  'master-key:prepared',
  'master-key:committed',
  'master-key:old-kept',
  'master-key:promoted',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]
export type ReachFailpoint = (name: Failpoint) => void

export const systemClock: Clock = { now: () => Math.floor(Date.now() / 1000) }
export const systemMonotonic: Monotonic = () => performance.now()

const ID_BYTES = 20
/** Random bytes are drawn for this many identifiers at once, because a call for each would cost more than the rest of the work. */
const SUPPLY = 256

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  id: supplyOfIds(),
}

function supplyOfIds(): () => string {
  const supply = Buffer.alloc(ID_BYTES * SUPPLY)
  let used = supply.length
  return () => {
    if (used === supply.length) {
      randomFillSync(supply)
      used = 0
    }
    const id = supply.toString('base64url', used, used + ID_BYTES)
    // Erased, so that memory never holds an identifier that was handed out.
    supply.fill(0, used, used + ID_BYTES)
    used += ID_BYTES
    return id
  }
}

export const noFailpoint: ReachFailpoint = () => {}
