import type { Command } from 'commander'
import type { Io } from './io.ts'

/** Keeps commander from exiting the process and from writing past `io`, for this command and all its subcommands. */
export function prepare(command: Command, io: Io): Command {
  command
    .exitOverride()
    // Each subcommand handles `--` itself.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      // As every other error of a command.
      outputError: (text, write) => write(text.replace(/^error: /, 'keyturn: ')),
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    })
  for (const child of command.commands) prepare(child as Command, io)
  return command
}
