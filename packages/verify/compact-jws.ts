/**
 * The compact serialization of a JWS (RFC 7515 §7.1). It is parsed strictly: a token that two parsers could read
 * differently is refused.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { VerifyError } from './errors.ts'

/** The parts of a JWS, not decoded. Nothing in them is trustworthy before the signature is verified. */
export interface CompactJws {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** The signing input: header, dot, payload (RFC 7515 §5.1). */
  readonly signed: string
}

/** @throws {VerifyError} malformed */
export function parseCompact(token: string, maxLength: number): CompactJws {
  if (token.length > maxLength) throw malformed('is too long')
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  const hasEmptyPart = first < 1 || second <= first + 1 || second === token.length - 1
  if (hasEmptyPart || token.includes('.', second + 1)) throw malformed('does not have three parts')
  // Writing a character beyond U+00FF as latin1 drops its upper byte, so another token would be checked.
  if (Buffer.byteLength(token) !== token.length) throw malformed('is not base64url')
  return {
    header: token.slice(0, first),
    payload: token.slice(first + 1, second),
    signature: token.slice(second + 1),
    signed: token.slice(0, second),
  }
}

/**
 * Returns the result of `verify` for the signature. The buffers that `verify` gets are reused, so it must not keep them.
 * @throws {VerifyError} malformed
 */
export function hasValidSignature(
  { signed, signature }: CompactJws,
  verify: (data: Buffer, signature: Buffer) => boolean,
): boolean {
  return verify(bytesOf(signed, 'latin1', SIGNED), decode(signature))
}

/** @throws {VerifyError} malformed, unless the part is a JSON object in base64url */
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

/**
 * Every token overwrites these buffers, because allocating new ones would cost as much as the parsing. Their content
 * must not be kept, or used after an `await`.
 */
const SIGNED = Buffer.allocUnsafeSlow(16_384)
const DECODED = Buffer.allocUnsafeSlow(16_384)

function bytesOf(text: string, encoding: 'latin1' | 'base64url', buffer: Buffer): Buffer {
  if (text.length > buffer.length) return Buffer.from(text, encoding)
  return buffer.subarray(0, buffer.write(text, encoding))
}

/** The last characters whose unused bits are 0, by the length of the part modulo 4. */
const LAST_CHARACTERS: readonly (string | undefined)[] = [undefined, '', 'AQgw', 'AEIMQUYcgkosw048']

/**
 * Decodes base64url and accepts only what an encoder produces; otherwise one token would have several spellings. Node's
 * decoder skips characters that it does not know, which changes the length of the result. It also accepts the
 * characters of plain base64, which does not change the length.
 */
function decode(part: string): Buffer {
  const bytes = bytesOf(part, 'base64url', DECODED)
  const last = LAST_CHARACTERS[part.length % 4]
  const canonical = last === undefined || last.includes(part.charAt(part.length - 1))
  const whole = bytes.length === Math.floor((part.length * 3) / 4)
  if (!canonical || !whole || part.includes('+') || part.includes('/')) throw malformed('is not base64url')
  return bytes
}

/**
 * Requires UTF-8 (RFC 8725 §3.7). The decoder would replace invalid bytes, so the text would differ from what was
 * signed.
 */
function textOf(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (!isUtf8(bytes)) throw new Error('not UTF-8')
  return bytes.toString('utf8')
}

function malformed(what: string, cause?: unknown): VerifyError {
  return new VerifyError('malformed', `the token ${what}`, { cause })
}
