/** Options for the lists of a client, an API or a role: `--scope` replaces the list, `--add-scope` and `--remove-scope` change it. */
import { type Command, Option } from 'commander'
import { CommandError, UsageError } from './context.ts'

interface ListOption {
  /** The name of the option that replaces the list, such as `redirect-uri`. */
  readonly name: string
  /** The placeholder of the value in the help, such as `<uri>`. */
  readonly value: string
  /** What a member of the list is: `redirect URI`. */
  readonly what: string
  readonly parse: (value: string, before?: string[]) => string[]
}

/** Adds `--add-…` and `--remove-…` to a command that has the option that replaces the list. */
export function listChanges(command: Command, { name, value, what, parse }: ListOption): Command {
  const replaces = name.replace(/-./g, ([, letter = '']) => letter.toUpperCase())
  const option = (verb: string, text: string) =>
    new Option(`--${verb}-${name} ${value}`, `${text}; repeatable`).argParser(parse).conflicts(replaces)
  return command
    .addOption(option('add', `add this ${what} and keep the others`))
    .addOption(option('remove', `remove only this ${what}`))
}

interface ListChange {
  /** The whole new list. */
  readonly all?: readonly string[] | undefined
  readonly add?: readonly string[] | undefined
  readonly remove?: readonly string[] | undefined
}

/**
 * Applies the change to the current list, which another administrator may have changed since the command started.
 * @throws {CommandError} if a value that is to be removed is not in the list, because it may be mistyped
 * @throws {UsageError} if a value is to be both added and removed
 */
export function changedList(
  what: string,
  current: readonly string[],
  { all, add = [], remove = [] }: ListChange,
): string[] {
  const both = add.find((value) => remove.includes(value))
  if (both !== undefined) throw new UsageError(`${both} cannot be added and removed at once`)
  const missing = remove.find((value) => !current.includes(value))
  if (missing !== undefined) throw new CommandError(`there is no ${what} ${missing} to remove`)
  return [...new Set([...(all ?? current), ...add])].filter((value) => !remove.includes(value))
}
