/** Passwords and secrets come from standard input or a prompt, never from arguments, which other users can see. */
import { decodeText, InvalidText, withoutFinalNewline } from '../text.ts'
import { UsageError } from './context.ts'
import type { Io } from './io.ts'

const MAX_BYTES = 65_536

/** Reads one line from standard input. @throws {UsageError} if it is empty, too long, not UTF-8 or more than one line */
export async function readSecret(io: Io): Promise<string> {
  const secret = withoutFinalNewline(decode(await readInput(io, MAX_BYTES)))
  if (secret === '') throw new UsageError('standard input is empty')
  if (/[\r\n]/.test(secret)) throw new UsageError('standard input has more than one line')
  return secret
}

/** Reads standard input to its end. @throws {UsageError} if it is longer */
export async function readInput(io: Io, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxBytes) throw new UsageError('standard input is too long')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

function decode(bytes: Buffer): string {
  try {
    return decodeText(bytes)
  } catch (error) {
    if (error instanceof InvalidText) throw new UsageError(`standard input ${error.message}`)
    throw error
  }
}

/**
 * Reads a new password from standard input or prompts for it twice.
 * @param check refuses a password, before it is asked for again
 * @throws {UsageError} if there is no terminal for the prompt
 */
export async function newPassword(
  io: Io,
  options: { readonly passwordStdin?: boolean },
  check: (password: string) => Promise<void>,
): Promise<string> {
  if (options.passwordStdin) return readSecret(io)
  if (!io.interactive)
    throw new UsageError('cannot prompt for a password without a terminal: use --password-stdin')
  const password = await io.askSecret('Password')
  await check(password)
  if (password !== (await io.askSecret('Repeat the password'))) {
    throw new UsageError('the passwords do not match')
  }
  return password
}
