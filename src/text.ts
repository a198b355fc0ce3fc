/**
 * Text from files and standard input. Editors and shells of different systems write the same text in different bytes, so every
 * reader gets it in one form. Must not know what the text means.
 */
import { readFileSync } from 'node:fs'
import { KeyturnError } from './errors.ts'

/** The bytes are not UTF-8 text. The message completes "<file> …". */
export class InvalidText extends KeyturnError<'invalid_text'> {
  constructor(message: string, cause?: unknown) {
    super('invalid_text', message, { cause })
  }
}

/**
 * UTF-8, with or without a byte order mark; lines end with LF or CRLF.
 * @throws {InvalidText}
 */
export function decodeText(bytes: Uint8Array): string {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  if (isUtf16) throw new InvalidText('is UTF-16 text: save it as UTF-8')
  let text: string
  try {
    // Removes a byte order mark.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new InvalidText('is not UTF-8 text', error)
  }
  // UTF-16 without a byte order mark has a NUL beside every ASCII character.
  if (text.includes('\0')) throw new InvalidText('contains NUL characters: save it as UTF-8')
  return text.replaceAll('\r\n', '\n')
}

/** Editors and `echo` end a text with a line feed, which is not part of a secret or a name. */
export const withoutFinalNewline = (text: string): string => text.replace(/\n$/, '')

/**
 * @param file a name or an open file
 * @throws {InvalidText} or the error of the file system; {@link whyUnreadable} completes "<file> …" for both
 */
export const readText = (file: string | number): string => decodeText(readFileSync(file))

/** Completes "<file> …" for an error of {@link readText}. */
export const whyUnreadable = (error: unknown): string =>
  error instanceof InvalidText ? error.message : `cannot be read (${(error as NodeJS.ErrnoException).code})`
