/**
 * Parses `application/x-www-form-urlencoded` (RFC 6749 Appendix B): each parameter once and of bounded length, strict
 * percent-encoding, strict UTF-8. Lenient parsers differ from each other, and attackers use the difference. Must not know any
 * endpoint.
 */
import { invalidRequest, OAuthError } from '../oauth/errors.ts'
import {
  DEFAULT_MAX_LENGTH,
  isTooLong,
  MAX_PARAMETERS,
  type Pair,
  type Parameters,
  parametersOf,
  repeatedIn,
} from '../oauth/parameters.ts'

export const MAX_BODY_BYTES = 65_536
/** In a form of a page. That of a client has each of its fields twice: as it is, and as the administrator first saw it. */
export const MAX_PAGE_FIELDS = 128

export interface Form {
  readonly parameters: Parameters
  readonly pairs: readonly Pair[]
}

/**
 * Reads the form of a protocol endpoint. Refuses repeated parameters, except those that may be repeated (RFC 8707 §2).
 * @throws {OAuthError} invalid_request
 */
export function parseForm(text: string): Form {
  const pairs = readPairs(text)
  if (repeatedIn(pairs).size > 0) throw invalidRequest('a parameter is repeated')
  return { pairs, parameters: parametersOf(pairs) }
}

/**
 * The name and the value of every pair, in order, with repetitions.
 * @param longest the maximum length of a parameter that has no limit of its own
 * @throws {OAuthError} invalid_request
 */
export function readPairs(
  text: string,
  max: number = MAX_PARAMETERS,
  longest: number = DEFAULT_MAX_LENGTH,
): Pair[] {
  const pairs: Pair[] = []
  for (const pair of text.split('&')) {
    if (pair === '') continue
    if (pairs.length === max) throw invalidRequest('too many parameters')
    const equals = pair.indexOf('=')
    const encodedName = equals < 0 ? pair : pair.slice(0, equals)
    if (isTooLong([encodedName, ''], MAX_ENCODED)) throw tooLong()
    const name = decode(encodedName)
    const encoded = equals < 0 ? '' : pair.slice(equals + 1)
    // Text without percent signs is as long when it is decoded.
    if (isTooLong([name, encoded], encoded.includes('%') ? MAX_ENCODED : 1, longest)) throw tooLong()
    const value = decode(encoded)
    if (isTooLong([name, value], 1, longest)) throw tooLong()
    pairs.push([name, value])
  }
  return pairs
}

/** A character of JavaScript's strings is at most three bytes of UTF-8, each percent-encoded with three characters. */
const MAX_ENCODED = 9

// RFC 9110 §15.5.14, as for a body that is too long.
const tooLong = () => new OAuthError('invalid_request', 'a parameter is too long', { status: 413 })

/** Text that needs no decoding, which is true of most text. A space that was not encoded can mean nothing but a space. */
const PLAIN = /^[A-Za-z0-9\-._~*!'():;,/@$ ]*$/

function decode(text: string): string {
  if (PLAIN.test(text)) return text
  const [raw] = /[^\x20-\x7E]/.exec(text) ?? []
  if (raw !== undefined) throw invalidRequest(`${describe(raw)} must be percent-encoded`)
  let decoded: string
  try {
    // decodeURIComponent is strict: it throws for overlong UTF-8, lone surrogates and `%zz`.
    decoded = decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw invalidRequest('malformed percent-encoding', { cause: error })
  }
  if (decoded.includes('\0')) throw invalidRequest('a parameter contains a NUL character')
  return decoded
}

/** Describes the character that must be percent-encoded, for the developer whose client sent it. */
function describe(raw: string): string {
  if (raw === '\n' || raw === '\r') return 'a line break, even at the end of the body,'
  return raw < ' ' || raw === '\x7F' ? 'a control character' : 'a character outside ASCII'
}
