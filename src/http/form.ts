/**
 * `application/x-www-form-urlencoded` as the RFCs mean it (RFC 6749 Appendix B): each parameter once, strict
 * percent-encoding, strict UTF-8. Lenient parsers differ from each other, and attacks live in the difference.
 */
import { invalidRequest } from '../oauth/errors.ts'
import type { Parameters } from '../oauth/parameters.ts'

/** RFC 8707 §2 lets this one be repeated; any other twice is invalid_request (RFC 6749 §3.2). */
const REPEATABLE: readonly string[] = ['resource']
const MAX_PARAMETERS = 64

/** @throws {OAuthError} invalid_request */
export function parseForm(text: string): Parameters {
  const values = new Map<string, string[]>()
  let count = 0
  for (const pair of text.split('&')) {
    if (pair === '') continue
    count += 1
    if (count > MAX_PARAMETERS) throw invalidRequest('too many parameters')
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1))
    const earlier = values.get(name)
    if (!earlier) values.set(name, [value])
    else if (REPEATABLE.includes(name)) earlier.push(value)
    else throw invalidRequest('a parameter is repeated')
  }
  return {
    // RFC 6749 §3.2: a parameter without a value counts as absent.
    get: (name) => values.get(name)?.[0] || undefined,
    all: (name) => values.get(name)?.filter((value) => value !== '') ?? [],
  }
}

/** What needs no decoding, which is nearly everything. */
const PLAIN = /^[A-Za-z0-9\-._~*!'():;,/@$]*$/

function decode(text: string): string {
  if (PLAIN.test(text)) return text
  if (/[^\x21-\x7E]/.test(text)) throw invalidRequest('the body is not form-urlencoded ASCII')
  let decoded: string
  try {
    // decodeURIComponent is strict where it matters: overlong UTF-8, lone surrogates and `%zz` all throw.
    decoded = decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw invalidRequest('malformed percent-encoding', error)
  }
  if (decoded.includes('\0')) throw invalidRequest('a parameter contains a NUL character')
  return decoded
}
