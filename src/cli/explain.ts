import { KeyturnError } from '../errors.ts'

/** One line for the operator, who may know what no client may: why exactly, and what to do about it. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof KeyturnError)) return error.message
  return [error.message, error.detail, error.hint].filter((text) => text !== undefined).join(': ')
}
