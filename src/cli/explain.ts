import { AdminError } from '../admin/errors.ts'
import { commandLine } from '../command-line.ts'
import { KeyturnError } from '../errors.ts'

/** One line for the operator. Unlike a client, the operator also gets the detail and a hint about what to do. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof KeyturnError)) return error.message
  if (error instanceof AdminError && error.problem === 'unowned-scope') {
    const create = commandLine('apis create')
    const update = commandLine('apis update --add-scope')
    return `${error.message}: add it to one with ${create} or ${update}, or give --allow-unowned`
  }
  if (error instanceof AdminError && error.problem === 'force-needed')
    return `${error.message}: --force does it anyway`
  return [error.message, error.detail, error.hint].filter((text) => text !== undefined).join(': ')
}
