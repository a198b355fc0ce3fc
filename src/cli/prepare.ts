import type { Command } from 'commander'
import type { Io } from './io.ts'

/** Commander neither ends the process nor writes past us; and it does so for every command below. */
export function prepare(command: Command, io: Io): Command {
  command
    .exitOverride()
    // So that `--` is left for the command it is meant for.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    })
  for (const child of command.commands) prepare(child as Command, io)
  return command
}
