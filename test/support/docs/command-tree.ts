import type { Command } from 'commander'
import { createContext } from '../../../src/cli/context.ts'
import type { Io } from '../../../src/cli/io.ts'
import { createProgram } from '../../../src/cli/run.ts'

export interface CommandLine {
  /** With what must be given: `keyturn apis create <identifier> --scope <scope>`. */
  readonly usage: string
  readonly description: string
  /** What may be given besides `--json` and `--help`, which every command takes. */
  readonly options: readonly string[]
}

/** Every command that does something, as `keyturn --help` knows it. */
export function commandTree(): CommandLine[] {
  const io = { operator: 'nobody', columns: 100, out: () => {}, err: () => {} } as unknown as Io
  return leaves(createProgram(createContext(io)), [])
}

function leaves(command: Command, above: readonly string[]): CommandLine[] {
  const path = [...above, command.name()]
  const below = command.commands.flatMap((child) => leaves(child as Command, path))
  if (!command.options.some((option) => option.long === '--json')) return below
  const options = command.options.filter((option) => option.long !== '--json')
  const words = [
    ...path,
    ...command.registeredArguments.map((argument) => `<${argument.name()}>`),
    ...options.filter((option) => option.mandatory).map((option) => option.flags),
  ]
  return [
    {
      usage: words.join(' '),
      description: command.description(),
      options: options.filter((option) => !option.mandatory).map((option) => option.flags),
    },
    ...below,
  ]
}
