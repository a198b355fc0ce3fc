/**
 * The interfaces to the machine: time, randomness, the log, and fail points for crash tests. Must not know OAuth. Add an
 * interface here if a test must control something that production takes from the machine.
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
  /** An identifier of 160 random bits, base64url (RFC 6749 §10.10: the probability of guessing should be at most 2^-160). */
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
 * Named places between the steps of operations that must survive a crash. Nothing happens there in production; crash tests kill
 * the process there. The list is closed, so that a test can visit every place.
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
  'ring:expiry-stored',
  'lane:added',
  'lane:default',
  'lane:removed',
  'master-key:prepared',
  'master-key:committed',
  'master-key:old-kept',
  'master-key:promoted',
  'administration:begun',
  'administration:acted',
  'apply:changed',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]
export type ReachFailpoint = (name: Failpoint) => void

export const systemClock: Clock = { now: () => Math.floor(Date.now() / 1000) }
export const systemMonotonic: Monotonic = () => performance.now()

const ID_BYTES = 20
/** Random bytes are generated for this many identifiers at once, because one call for each identifier is much slower. */
const IDS_PER_FILL = 256

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  id: createIdSource(),
}

function createIdSource(): () => string {
  const buffer = Buffer.alloc(ID_BYTES * IDS_PER_FILL)
  let used = buffer.length
  return () => {
    if (used === buffer.length) {
      randomFillSync(buffer)
      used = 0
    }
    const id = buffer.toString('base64url', used, used + ID_BYTES)
    // Erased, so that the buffer never contains an identifier that was returned.
    buffer.fill(0, used, used + ID_BYTES)
    used += ID_BYTES
    return id
  }
}

export const noFailpoint: ReachFailpoint = () => {}
