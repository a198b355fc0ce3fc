/** Asks before something is deleted. Without a terminal nothing is asked, because a script has decided already. */
import type { Command } from 'commander'
import { CommandError, type Context, type Json } from './context.ts'

export interface DeleteOptions extends Json {
  readonly yes?: boolean
}

export const yesOption = (command: Command): Command => command.option('--yes', 'do not ask before deleting')

/** @throws {CommandError} if the answer is no */
export async function confirmDelete(
  { io }: Context,
  { yes }: DeleteOptions,
  question: string,
): Promise<void> {
  if (yes || !io.interactive || (await io.confirm(question))) return
  throw new CommandError('nothing was deleted')
}
