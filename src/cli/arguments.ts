/** Rewrites arguments that commander would read in another way: `help` with several words, and kids that begin with a dash. */
import type { Command } from 'commander'

export function readableArguments(program: Command, args: readonly string[]): string[] {
  const [first, ...words] = args
  if (first === 'help') return helpFor(program, words)
  return moveKidsToEnd(args)
}

/** `help clients create` is `clients create --help`; commander itself reads only one word. */
function helpFor(program: Command, words: readonly string[]): string[] {
  let command = program
  for (const [i, word] of words.entries()) {
    const child = command.commands.find((one) => one.name() === word)
    // A group reports a word that it does not know, with a suggestion.
    if (!child) return command.commands.length > 0 ? words.slice(0, i + 1) : [...words.slice(0, i), '--help']
    command = child
  }
  return [...words, '--help']
}

/** An option of `keys revoke` begins with two dashes, or is one dash and one letter; a shortened kid is neither. */
const SHORT_KID = /^-(?!-)[\w-]{3,42}…?$/
/** No option has 43 characters. */
const KID = /^-[\w-]{42}$/

/** One kid in 64 begins with a dash and would be parsed as an option, so it goes after `--`. */
function moveKidsToEnd(args: readonly string[]): string[] {
  const isRevoke = args[0] === 'keys' && args[1] === 'revoke'
  const isKid = (arg: string) => KID.test(arg) || (isRevoke && SHORT_KID.test(arg))
  // The value of an option is already where it belongs.
  const isMoved = (arg: string, i: number) => isKid(arg) && args[i - 1] !== '--revoke'
  const kids = args.includes('--') ? [] : args.filter(isMoved)
  return kids.length === 0 ? [...args] : [...args.filter((arg, i) => !isMoved(arg, i)), '--', ...kids]
}
