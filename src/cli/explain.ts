import { KeyturnError } from '../errors.ts'

/** One line for the operator. Unlike a client, the operator also gets the detail and a hint about what to do. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof KeyturnError)) return error.message
  return [error.message, error.detail, error.hint].filter((text) => text !== undefined).join(': ')
}
