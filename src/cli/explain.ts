import { StoreUnavailable } from '../store/db.ts'

/** One line for people: an operator may know what no client may, namely why the store does not answer. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const inner =
    error instanceof StoreUnavailable && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  const message = error.message + inner
  return /malformed|not a database/.test(message) ? `${message}: restore a backup` : message
}
