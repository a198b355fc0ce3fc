/**
 * What Keyturn takes from the machine it runs on: time, randomness, a log, and (in tests) places to die.
 * Must not know: anything about OAuth. Add here what a test needs to control and production takes for granted.
 */
import { randomBytes } from 'node:crypto'

/** Whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, NumericDate without fractions). */
export type EpochSeconds = number

/** A length of time in whole seconds. */
export type Seconds = number

export interface Clock {
  now(): EpochSeconds
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
  'start:ring',
  'refresh:verified',
  'refresh:rotated',
  'refresh:minted',
  'rotate:generated',
  'rotate:committed',
  'cover:extended',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]
export type ReachFailpoint = (name: Failpoint) => void

export const systemClock: Clock = { now: () => Math.floor(Date.now() / 1000) }

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  id: () => randomBytes(20).toString('base64url'),
}

export const noFailpoint: ReachFailpoint = () => {}
