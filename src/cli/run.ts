/** The list of commands, and what becomes of their failures. A new command is a file and a line below. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/load.ts'
import { version } from '../version.ts'
import { type CommandFactory, createContext, Refused, UsageError } from './context.ts'
import type { Io } from './io.ts'
import { keysCommand } from './keys.ts'
import { serveCommand } from './serve.ts'

export const commands: readonly CommandFactory[] = [serveCommand, keysCommand]

/** @returns the exit code: 0 done, 1 refused or failed, 2 bad usage or configuration */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const context = createContext(io)
  const program = new Command('keyturn')
    .description('An OAuth 2 authorization server with rotating keys and tokens that verify offline.')
    .version(version)
    .showSuggestionAfterError()
  for (const command of commands) program.addCommand(command(context))
  prepare(program, io)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return 0
  } catch (error) {
    return report(error, io, args.includes('--json'))
  }
}

/** Commander neither ends the process nor writes past us; and it does so for every command below. */
function prepare(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: io.out,
    writeErr: io.err,
    getOutHelpWidth: () => io.columns,
    getErrHelpWidth: () => io.columns,
  })
  for (const child of command.commands) prepare(child as Command, io)
}

function report(error: unknown, io: Io, json: boolean): number {
  // Commander has printed its own message already; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof ConfigError) {
    for (const problem of error.problems) io.err(`keyturn: ${problem}\n`)
    if (json) io.out(`${JSON.stringify({ error: 'bad configuration', problems: error.problems })}\n`)
    return 2
  }
  const message = error instanceof Error ? error.message : String(error)
  io.err(`keyturn: ${message}\n`)
  // A mistake of ours: without the stack nobody could mend it.
  if (error instanceof TypeError || error instanceof ReferenceError) io.err(`${error.stack}\n`)
  const details = error instanceof Refused ? error.details : {}
  if (json) io.out(`${JSON.stringify({ error: message, ...details })}\n`)
  return error instanceof UsageError ? 2 : 1
}
