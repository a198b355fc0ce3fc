/** The compact serialization of a JWS (RFC 7515 §7.1), strictly: what two parsers read differently is refused. */
import { isUtf8 } from 'node:buffer'
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

const PART = /^[A-Za-z0-9_-]+$/

/** @throws {VerifyError} malformed */
export function parseCompact(token: string, maxLength: number): CompactJws {
  if (token.length > maxLength) throw malformed('is too long')
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first < 1 || second < 0 || token.indexOf('.', second + 1) >= 0)
    throw malformed('does not have three parts')
  return {
    header: token.slice(0, first),
    payload: token.slice(first + 1, second),
    signed: Buffer.from(token.slice(0, second), 'latin1'),
    signature: decode(token.slice(second + 1)),
  }
}

/** @throws {VerifyError} malformed, unless it is a JSON object in base64url */
export function parseJson(part: string): Record<string, unknown> {
  let value: unknown
  try {
    const bytes = decode(part)
    if (!isUtf8(bytes)) throw new Error('not UTF-8')
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw malformed('has a part that is not JSON', error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed('has a part that is not a JSON object')
  }
  return value as Record<string, unknown>
}

function decode(part: string): Buffer {
  if (!PART.test(part)) throw malformed('is not base64url')
  const bytes = Buffer.from(part, 'base64url')
  // Spare bits in the last letter would let one signature have several spellings.
  if (part.length % 4 !== 0 && bytes.toString('base64url') !== part)
    throw malformed('is not canonical base64url')
  return bytes
}

function malformed(what: string, cause?: unknown): VerifyError {
  return new VerifyError('malformed', `the token ${what}`, { cause })
}
