/** The compact serialization of a JWS (RFC 7515 §7.1), strictly: what two parsers read differently is refused. */
import { isAscii, isUtf8 } from 'node:buffer'
import { VerifyError } from './errors.ts'

/** Its parts as they came, nothing decoded: nothing in it counts before the signature does. */
export interface CompactJws {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** Header and payload: what was signed. */
  readonly signed: string
}

/** @throws {VerifyError} malformed */
export function parseCompact(token: string, maxLength: number): CompactJws {
  if (token.length > maxLength) throw malformed('is too long')
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  const empty = first < 1 || second <= first + 1 || second === token.length - 1
  if (empty || token.includes('.', second + 1)) throw malformed('does not have three parts')
  // Decoders drop the upper byte of a letter and read another one.
  if (Buffer.byteLength(token) !== token.length) throw malformed('is not base64url')
  return {
    header: token.slice(0, first),
    payload: token.slice(first + 1, second),
    signature: token.slice(second + 1),
    signed: token.slice(0, second),
  }
}

/**
 * Whether `verify` says that the signature is good. The bytes it gets are good for this one call.
 * @throws {VerifyError} malformed
 */
export function isSigned(
  { signed, signature }: CompactJws,
  verify: (data: Buffer, signature: Buffer) => boolean,
): boolean {
  return verify(bytesOf(signed, 'latin1', SIGNED), decode(signature))
}

/** @throws {VerifyError} malformed, unless it is a JSON object in base64url */
export function parseJson(part: string): Record<string, unknown> {
  const bytes = decode(part)
  let value: unknown
  try {
    value = JSON.parse(textOf(bytes))
  } catch (error) {
    throw malformed('has a part that is not JSON', error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed('has a part that is not a JSON object')
  }
  return value as Record<string, unknown>
}

/** Written over by each token: new buffers would cost as much as the parsing. Never kept, never awaited across. */
const SIGNED = Buffer.allocUnsafeSlow(16_384)
const DECODED = Buffer.allocUnsafeSlow(16_384)

function bytesOf(text: string, encoding: 'latin1' | 'base64url', room: Buffer): Buffer {
  if (text.length > room.length) return Buffer.from(text, encoding)
  return room.subarray(0, room.write(text, encoding))
}

/** The last letters whose spare bits are 0, by how many letters are left over after whole groups of four. */
const LAST_LETTERS: readonly (string | undefined)[] = [undefined, '', 'AQgw', 'AEIMQUYcgkosw048']

/**
 * Only the spelling that an encoder makes: otherwise one token would have several. The decoder skips what it does not
 * know, which the length of what it made tells, and takes both alphabets, which nothing would tell.
 */
function decode(part: string): Buffer {
  const bytes = bytesOf(part, 'base64url', DECODED)
  const last = LAST_LETTERS[part.length % 4]
  const canonical = last === undefined || last.includes(part.charAt(part.length - 1))
  const whole = bytes.length === Math.floor((part.length * 3) / 4)
  if (!canonical || !whole || part.includes('+') || part.includes('/')) throw malformed('is not base64url')
  return bytes
}

/** RFC 8725 §3.7. What is not UTF-8 would be repaired by the decoder, and mean something else than what was signed. */
function textOf(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (!isUtf8(bytes)) throw new Error('not UTF-8')
  return bytes.toString('utf8')
}

function malformed(what: string, cause?: unknown): VerifyError {
  return new VerifyError('malformed', `the token ${what}`, { cause })
}
