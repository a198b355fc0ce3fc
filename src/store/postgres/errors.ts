/** What PostgreSQL and the way to it can answer, and what that means for a caller. Must not know: pool, statements. */
import { ConstraintViolation, StoreDamaged, StoreUnavailable } from '../db.ts'

/** As long as it takes to notice a failover; a store that is only busy is asked again sooner. */
const AWAY_SECONDS = 3

interface ServerError extends Error {
  readonly code: string
  readonly severity: string
}

/** Said by the server, with an SQLSTATE; everything else comes from the connection. */
const isServerError = (error: unknown): error is ServerError => {
  const { code, severity } = error as Partial<ServerError>
  return typeof severity === 'string' && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
}

/** Whether an SQLSTATE is one of these, or of one of these classes (two characters). */
const among = (error: unknown, codes: readonly string[]): boolean =>
  isServerError(error) && (codes.includes(error.code) || codes.includes(error.code.slice(0, 2)))

/** Serialization failure, deadlock: the server has undone everything, and says that it may be tried again. */
export const isBusy = (error: unknown): boolean => among(error, ['40001', '40P01'])

/** The connection is gone or going: shut down, cut, silent for too long. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof StoreUnavailable || error instanceof TypeError) return false
  if (!isServerError(error)) return true
  // 08P01 is said to whom sends the wrong number of parameters.
  if (error.code === '08P01') return false
  return (
    /^(FATAL|PANIC)$/.test(error.severity) ||
    among(error, ['08', '57P01', '57P02', '57P03', '57P05', '25P03'])
  )
}

/** Of `lock_timeout`; everything is undone. */
export const isLockTimeout = (error: unknown): boolean => among(error, ['55P03'])

/** A plan of before a migration, or a pooler that has forgotten it: on a new connection it is made anew. */
export const isStalePlan = (error: unknown): boolean =>
  among(error, ['26000']) || (among(error, ['0A000']) && /cached plan/.test((error as ServerError).message))

/** This server will say it again on this connection: it became a standby, or its disk is full. */
export const isConstantRefusal = (error: unknown): boolean => among(error, ['25006'])

/** This server has no such function or statement, or does not let us: said by what speaks the protocol and is no PostgreSQL. */
export const isUnsupported = (error: unknown): boolean => among(error, ['0A', '42'])

/** At COMMIT: somebody who listens has not taken anything for so long that the server's queue is full. */
export const isQueueFull = (error: unknown): boolean => among(error, ['54000'])

/** Damaged pages and indexes. */
const DAMAGE = ['XX001', 'XX002']

/**
 * Not now: connection (08), resources (53), intervention (57), system (58), internal (XX), authorization (28),
 * transaction state (25: read-only, idle for too long), contention (40), locks (55), no database, no permission.
 */
const TROUBLE = ['08', '25', '28', '40', '53', '55', '57', '58', 'F0', 'XX', '3D000', '42501']

/**
 * What a caller gets. `while`: a failure to connect is never a mistake of ours, and one at COMMIT never a clear one.
 * Names of hosts and users are in causes, which only the log gets to see.
 */
export function translate(error: unknown, phase: 'connecting' | 'steps' | 'commit' = 'steps'): unknown {
  if (error instanceof StoreUnavailable) return error
  if (among(error, DAMAGE)) return new StoreDamaged(error)
  // A key that is taken; and the name of a table or of its type, which two who make it at once find taken too.
  if (among(error, ['23', '42P07', '42710'])) return new ConstraintViolation(error)
  if (phase === 'connecting' || isConnectionLost(error))
    return new StoreUnavailable(readable(error), AWAY_SECONDS)
  if (phase === 'commit') return new StoreUnavailable(error)
  if (among(error, TROUBLE) && (error as ServerError).code !== '08P01') return new StoreUnavailable(error)
  return error
}

/** Node tells of several addresses that all refused in an error without a text. */
function readable(error: unknown): unknown {
  if (!(error instanceof AggregateError) || error.message !== '') return error
  const [first] = error.errors as Error[]
  return new Error(first?.message ?? 'cannot connect', { cause: error })
}
