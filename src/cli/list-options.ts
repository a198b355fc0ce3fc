/** Options for the lists of a client, an API or a role: `--scope` replaces the list, `--add-scope` and `--remove-scope` change it. */
import { type Command, Option } from 'commander'
import { CommandError, collectWords, UsageError } from './context.ts'

export interface ListOption {
  /** The name of the option that replaces the list, such as `redirect-uri`. */
  readonly name: string
  /** How the help names the value, such as `<uri>`. */
  readonly value: string
  /** What a member of the list is: `redirect URI`. */
  readonly what: string
  readonly parse: (value: string, before?: string[]) => string[]
}

export const SCOPE_LIST: ListOption = { name: 'scope', value: '<scope>', what: 'scope', parse: collectWords }

/** The name of an option as commander returns it: `addRedirectUri`. */
const memberName = (option: string): string =>
  option.replace(/-./g, ([, letter = '']) => letter.toUpperCase())

/** Adds `--add-…` and `--remove-…` to a command that has the option that replaces the list. */
export function listChanges(command: Command, { name, value, what, parse }: ListOption): Command {
  const option = (verb: string, text: string) =>
    new Option(`--${verb}-${name} ${value}`, `${text}; repeatable`)
      .argParser(parse)
      .conflicts(memberName(name))
  return command
    .addOption(option('add', `add this ${what} and keep the others`))
    .addOption(option('remove', `remove only this ${what}`))
}

/** The list options as commander parsed them. `false` means that `--no-…` was given, which empties the list. */
type Given = Readonly<Record<string, readonly string[] | false | undefined>>

/**
 * Applies the change that the options describe to the current list, which another administrator may have changed since the command
 * started.
 * @throws {CommandError} if a value that is to be removed is not in the list, because it may be mistyped
 * @throws {UsageError} if a value is to be both added and removed
 */
export function changedList(
  { name, what }: ListOption,
  current: readonly string[],
  options: object,
): string[] {
  const given = (option: string) => (options as Given)[memberName(option)]
  const all = given(name) ?? current
  const add = given(`add-${name}`) || []
  const remove = given(`remove-${name}`) || []
  const both = add.find((value) => remove.includes(value))
  if (both !== undefined) throw new UsageError(`${both} cannot be added and removed at once`)
  const missing = remove.find((value) => !current.includes(value))
  if (missing !== undefined) throw new CommandError(`there is no ${what} ${missing} to remove`)
  return [...new Set([...(all || []), ...add])].filter((value) => !remove.includes(value))
}
