/** Errors of PostgreSQL and of the connection to it, and what they mean for a caller. Must not know the pool or any statement. */
import { ConstraintViolation, StoreDamaged, StoreUnavailable } from '../db.ts'

/** `Retry-After` while the server cannot be reached: a failover takes about this long. */
const RECONNECT_SECONDS = 3

interface ServerError extends Error {
  readonly code: string
  readonly severity: string
}

/** The server has answered with an SQLSTATE. All other errors come from the connection. */
const isServerError = (error: unknown): error is ServerError => {
  const { code, severity } = error as Partial<ServerError>
  return typeof severity === 'string' && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
}

/** Whether the error has one of these SQLSTATEs, or one of these classes (two characters). */
const hasSqlState = (error: unknown, codes: readonly string[]): boolean =>
  isServerError(error) && (codes.includes(error.code) || codes.includes(error.code.slice(0, 2)))

/** What the driver says when it has waited for the answer to a statement as long as it may. */
const NO_ANSWER = 'Query read timeout'

/** Serialization failure or deadlock: the server has rolled everything back, and the batch may be tried again. */
export const isBusy = (error: unknown): boolean => hasSqlState(error, ['40001', '40P01'])

/** The connection is lost or about to close: the server shuts down, the network failed, or the server did not respond. */
function isConnectionLost(error: unknown): boolean {
  if (error instanceof StoreUnavailable || error instanceof TypeError) return false
  if (!isServerError(error)) return true
  if (/^(FATAL|PANIC)$/.test(error.severity)) return true
  // The server reports a wrong number of parameters as 08P01, which is a mistake in the program.
  return error.code !== '08P01' && hasSqlState(error, ['08', '57P01', '57P02', '57P03', '57P05', '25P03'])
}

/**
 * The server itself has ended the connection, before it committed the statement: after a commit, it answers first. With other SQLSTATEs,
 * such as 08006 and 58000, a pooler says that it has lost the server, which may have committed.
 */
export const isEndedByServer = (error: unknown): boolean => hasSqlState(error, ['57P01', '57P05', '25P03'])

/** `lock_timeout` has expired; everything was rolled back. */
export const isLockTimeout = (error: unknown): boolean => hasSqlState(error, ['55P03'])

/** The plan is older than a migration, or a pooler has lost it. On a new connection, the statement is prepared again. */
export const isStalePlan = (error: unknown): boolean =>
  hasSqlState(error, ['26000']) ||
  (hasSqlState(error, ['0A000']) && /cached plan/.test((error as ServerError).message))

/** The server has become a standby: every write on this connection will fail in the same way. */
const isReadOnly = (error: unknown): boolean => hasSqlState(error, ['25006'])

/** The connection cannot be used again. What has happened to it has probably happened to all that were opened before. */
export const isConnectionUseless = (error: unknown): boolean =>
  isConnectionLost(error) || isStalePlan(error) || isReadOnly(error)

/** The connection is lost, and has not taken the whole time limit: the work can be repeated without a long wait. */
export const isQuicklyLost = (error: unknown): boolean =>
  isConnectionLost(error) && (error as Error).message !== NO_ANSWER

/** Division by zero: a statement has changed a wrong number of rows (one-statement.ts). The program divides by nothing else. */
export const isRefused = (error: unknown): boolean => hasSqlState(error, ['22012'])

/** The server does not support or permit the function or statement. Some other servers with the same protocol answer this. */
export const isUnsupported = (error: unknown): boolean => hasSqlState(error, ['0A', '42'])

/** COMMIT fails because a listener has not read for so long that the notification queue of the server is full. */
export const isQueueFull = (error: unknown): boolean => hasSqlState(error, ['54000'])

/** SQLSTATEs for damaged pages and indexes. */
const DAMAGE = ['XX001', 'XX002']

/**
 * SQLSTATEs that mean that the store is unavailable: connection (08), resources (53), operator intervention (57), system (58),
 * internal (XX), authorization (28), transaction state (25: read-only, idle for too long), contention (40), locks (55),
 * configuration file (F0), no such database (3D000), no permission (42501).
 */
const UNAVAILABLE = ['08', '25', '28', '40', '53', '55', '57', '58', 'F0', 'XX', '3D000', '42501']

/**
 * The error that a caller gets. `phase`: a failure to connect is never a mistake in the program, and after a failed COMMIT it is
 * not known whether the batch was committed. Names of hosts and users are in causes, which only the log contains.
 */
export function translate(error: unknown, phase: 'connecting' | 'steps' | 'commit' = 'steps'): unknown {
  if (error instanceof StoreUnavailable) return error
  if (hasSqlState(error, DAMAGE)) return new StoreDamaged(error)
  // A key is taken; or, if two processes create a table at once, the name of the table or of its type.
  if (hasSqlState(error, ['23', '42P07', '42710'])) return new ConstraintViolation(error)
  if (phase === 'connecting' || isConnectionLost(error))
    return new StoreUnavailable(readable(error), RECONNECT_SECONDS)
  if (phase === 'commit') return new StoreUnavailable(error)
  if (hasSqlState(error, UNAVAILABLE) && (error as ServerError).code !== '08P01')
    return new StoreUnavailable(error)
  return error
}

/** Whether the same statement without one of its rows might succeed: the error is about a value, or about damage that a row has met. */
export const isAboutRow = (error: unknown): boolean =>
  !(error instanceof StoreUnavailable) ||
  (!isConnectionLost(error.cause) && hasSqlState(error.cause, ['58', 'XX']))

/** If all addresses of a host refuse the connection, Node.js throws an AggregateError without a message. */
function readable(error: unknown): unknown {
  if (!(error instanceof AggregateError) || error.message !== '') return error
  const [first] = error.errors as Error[]
  return new Error(first?.message ?? 'cannot connect', { cause: error })
}
