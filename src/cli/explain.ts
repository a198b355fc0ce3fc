import { StoreUnavailable } from '../store/db.ts'

/** One line for people: an operator may know what no client may, namely why the store does not answer. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof StoreUnavailable) || !(error.cause instanceof Error)) return error.message
  const { message } = error.cause
  const advice = /malformed|not a database/.test(message) ? ': restore a backup' : ''
  return `${error.message}: ${message}${advice}`
}
