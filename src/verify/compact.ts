/** The compact serialization of a JWS (RFC 7515 §7.1), strictly: what two parsers read differently is refused. */
import { isAscii, isUtf8 } from 'node:buffer'
import { VerifyError } from './errors.ts'

export interface CompactJws {
  /** Not parsed: there are few different ones, and the caller remembers them. */
  readonly header: string
  /** Not parsed yet: nothing in it counts before the signature does. */
  readonly payload: string
  /** What was signed. */
  readonly signed: Buffer
  readonly signature: Buffer
}

const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** @throws {VerifyError} malformed */
export function parseCompact(token: string, maxLength: number): CompactJws {
  if (token.length > maxLength) throw malformed('is too long')
  if (!COMPACT.test(token)) throw malformed('does not have three parts of base64url')
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  return {
    header: token.slice(0, first),
    payload: token.slice(first + 1, second),
    signed: Buffer.from(token.slice(0, second), 'latin1'),
    signature: decode(token.slice(second + 1)),
  }
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

/** RFC 8725 §3.7. What is not UTF-8 would be repaired by the decoder, and mean something else than what was signed. */
function textOf(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (!isUtf8(bytes)) throw new Error('not UTF-8')
  return bytes.toString('utf8')
}

/** The last letters whose spare bits are 0, by how many letters are left over after whole groups of four. */
const LAST_LETTERS: readonly (string | undefined)[] = [undefined, '', 'AQgw', 'AEIMQUYcgkosw048']

/** Only the spelling that an encoder makes: otherwise one signature would have several. */
function decode(part: string): Buffer {
  const last = LAST_LETTERS[part.length % 4]
  if (last !== undefined && !last.includes(part.charAt(part.length - 1))) {
    throw malformed('is not canonical base64url')
  }
  return Buffer.from(part, 'base64url')
}

function malformed(what: string, cause?: unknown): VerifyError {
  return new VerifyError('malformed', `the token ${what}`, { cause })
}
