/** `clients create --env <file>`: the credentials of a new client in a file for a shell or for `node --env-file`. */

import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { commandLine } from '../command-line.ts'
import { writeAtomically } from '../durable-file.ts'
import { KeyturnError } from '../errors.ts'
import { CommandError, type Context } from './context.ts'

export interface EnvFile {
  readonly path: string
  /**
   * Makes sure that the file can be written, calls `register`, and writes the credentials before the file gets its name: so a file
   * that cannot be written leaves no client whose secret is lost, and a client that is refused leaves no file.
   */
  write<T extends Credentials>(register: () => Promise<T>): Promise<T>
}

interface Credentials {
  readonly client_id: string
  readonly client_secret?: string | undefined
}

/** At least as long as the lines, so that a full disk is noticed before the client is registered. */
const PLACEHOLDER = '\n'.repeat(8192)

/** @throws {CommandError} if the file exists: it may contain the only copy of another secret */
export function newEnvFile({ io }: Context, name: string): EnvFile {
  const path = resolve(io.cwd, name)
  const refuse = (code: unknown) =>
    new CommandError(
      code === 'EEXIST'
        ? `${path} already exists: name another file, or move it away, because its secret cannot be shown again`
        : `${path} cannot be created (${code})`,
    )
  if (existsSync(path)) throw refuse('EEXIST')
  return {
    path,
    async write<T extends Credentials>(register: () => Promise<T>) {
      let registered: T | undefined
      try {
        // The draft can be read only by its owner, from its first byte on.
        await writeAtomically(path, { replace: false }, async (draft) => {
          writeFileSync(draft, PLACEHOLDER)
          registered = await register()
          writeFileSync(draft, lines(registered))
        })
      } catch (error) {
        if (error instanceof KeyturnError) throw error
        const { message } = refuse((error as NodeJS.ErrnoException).code)
        if (registered === undefined) throw new CommandError(message)
        throw new CommandError(
          `${message}; the client ${registered.client_id} was created: run ${commandLine('clients rotate-secret')}`,
        )
      }
      if (registered === undefined) throw new Error('the client was not registered')
      return registered
    },
  }
}

function lines({ client_id: id, client_secret: secret }: Credentials): string {
  const secretLine = secret === undefined ? '' : `CLIENT_SECRET=${shellQuote(secret)}\n`
  return `CLIENT_ID=${shellQuote(id)}\n${secretLine}`
}

/** Quotes for a shell, but only if necessary, because not every program that reads environment files understands quotes. */
function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
