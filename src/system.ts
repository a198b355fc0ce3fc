/**
 * What Keyturn takes from the machine it runs on: time, randomness, a log, and (in tests) places to die.
 * Must not know: anything about OAuth. Add here what a test needs to control and production takes for granted.
 */
import { randomBytes, randomFillSync } from 'node:crypto'

/** Whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, NumericDate without fractions). */
export type EpochSeconds = number

/** A length of time in whole seconds. */
export type Seconds = number

export interface Clock {
  now(): EpochSeconds
}

/** Milliseconds that only ever go on, whatever becomes of the machine's clock; what a machine sleeps is missing. */
export type Steady = () => number

/** A moment by both clocks of the machine. */
export interface Mark {
  readonly at: EpochSeconds
  readonly steady: number
}

/** How long ago something was, in milliseconds, also for a process that was frozen and a machine that slept. */
export interface Ages {
  mark(): Mark
  since(mark: Mark): number
}

export interface Random {
  bytes(size: number): Buffer
  /** An unguessable identifier of 160 bits, base64url (RFC 6749 §10.10 asks for 2^-160 where it can be had). */
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
 * Named places between the steps of what must survive a crash. Production does nothing there; the crash tests
 * kill the process. The names are a closed list so that a test can visit every one.
 */
export const FAILPOINTS = [
  'start:migrated',
  'start:master-key',
  'start:root',
  'start:ring',
  'refresh:verified',
  'refresh:rotated',
  'token:issued',
  'rotate:generated',
  'rotate:committed',
  'cover:extended',
  'reseal:prepared',
  'reseal:swapped',
  'reseal:kept',
  'reseal:promoted',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]
export type ReachFailpoint = (name: Failpoint) => void

export const systemClock: Clock = { now: () => Math.floor(Date.now() / 1000) }
export const systemSteady: Steady = () => performance.now()

const ID_BYTES = 20
/** Fetched for this many identifiers at once: a call for each would cost more than all else about it. */
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
    // Handed out once and then forgotten here too.
    supply.fill(0, used, used + ID_BYTES)
    used += ID_BYTES
    return id
  }
}

export const noFailpoint: ReachFailpoint = () => {}
