/** Passwords and secrets come from standard input or a prompt; never from an argument, which others can read. */
import { UsageError } from './context.ts'
import type { Io } from './io.ts'

const MAX_BYTES = 65_536

/** What standard input says, without the end of its line. @throws {UsageError} if that is nothing, or not text */
export async function readSecret(io: Io): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_BYTES) throw new UsageError('standard input is too long')
    chunks.push(bytes)
  }
  const secret = decode(Buffer.concat(chunks)).replace(/\r?\n$/, '')
  if (secret === '') throw new UsageError('standard input is empty')
  if (/[\r\n]/.test(secret)) throw new UsageError('standard input has more than one line')
  return secret
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError('standard input is not UTF-8')
  }
}

/** A new password, typed twice. @throws {UsageError} if nobody can be asked */
export async function newPassword(io: Io, options: { readonly passwordStdin?: boolean }): Promise<string> {
  if (options.passwordStdin) return readSecret(io)
  if (!io.interactive) throw new UsageError('there is no terminal to ask at: give --password-stdin')
  const password = await io.askSecret('Password')
  if (password !== (await io.askSecret('The same again'))) {
    throw new UsageError('the two passwords are not the same')
  }
  return password
}
