import type { DpopRequest } from './dpop/index.ts'
import type { PresentedCertificate } from './mtls/presented-certificate.ts'

/** The parameters of a request, from its form or query. */
export interface Parameters {
  get(name: string): string | undefined
  /** Returns all values of a parameter that may be repeated (RFC 8707 §2). */
  all(name: string): readonly string[]
}

/** Name and value of one parameter as it was sent. */
export type Pair = readonly [name: string, value: string]

/** Per form, query or request object. */
export const MAX_PARAMETERS = 64

/** In characters. A whole authorization request that fits into a URL is not longer than this. */
export const DEFAULT_MAX_LENGTH = 8192
const MAX_NAME_LENGTH = 128

/**
 * The maximum length, in characters, of each parameter that has a limit other than the default. Texts that users type have a lower
 * limit: a stranger could fill 64 KB with combining marks, and the time to normalize them grows with the square of the length.
 * Values that this server or a client has encoded have a higher limit. The reader of a parameter checks what it contains.
 */
const MAX_LENGTHS: ReadonlyMap<string, number> = new Map([
  ['username', 1024],
  ['password', 2048],
  ['current_password', 2048],
  ['new_password', 2048],
  ['new_password_repeat', 2048],
  ['code', 1024],
  ['recovery_code', 1024],
  ['name', 1024],
  ['flow', 16_384],
  ['arrival', 16_384],
  ['enrolment', 16_384],
  ['credential', 16_384],
  ['request', 32_768],
  ['client_assertion', 32_768],
])

/**
 * Checked where a parameter is read, before anything else touches the value. A name that exceeds its own limit also counts as too long.
 * @param unit how many characters may stand for one, e.g. in percent-encoded text
 * @param longest the maximum length of a parameter that has no limit of its own
 */
export function isTooLong([name, value]: Pair, unit = 1, longest = DEFAULT_MAX_LENGTH): boolean {
  const max = MAX_LENGTHS.get(name) ?? longest
  return name.length > unit * MAX_NAME_LENGTH || value.length > unit * max
}

/** RFC 8707 §2. A repetition of any other parameter is invalid_request (RFC 6749 §3.1, §3.2). */
const REPEATABLE: readonly string[] = ['resource']

/** `get` returns the first value of a repeated parameter; callers refuse repetitions with `repeatedIn`. */
export function parametersOf(pairs: Iterable<Pair>): Parameters {
  const values = new Map<string, string[]>()
  for (const [name, value] of pairs) {
    const earlier = values.get(name)
    if (earlier) earlier.push(value)
    else values.set(name, [value])
  }
  return {
    // RFC 6749 §3.1, §3.2: a parameter without a value counts as absent.
    get: (name) => values.get(name)?.[0] || undefined,
    all: (name) => values.get(name)?.filter((value) => value !== '') ?? [],
  }
}

/** The names that are repeated and must not be. */
export function repeatedIn(pairs: Iterable<Pair>): ReadonlySet<string> {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const [name] of pairs) {
    if (seen.has(name) && !REPEATABLE.includes(name)) repeated.add(name)
    seen.add(name)
  }
  return repeated
}

/** What the sender of a request proves besides its identity. */
export interface ProvenRequest extends DpopRequest {
  /** The certificate that the sender has presented (RFC 8705); null if there is none. */
  readonly certificate: PresentedCertificate | null
}

/** What a protocol endpoint needs from a request, independent of the HTTP library. */
export interface ProtocolRequest extends ProvenRequest {
  readonly parameters: Parameters
  /** The parameters as they were sent, in order. */
  readonly pairs: readonly Pair[]
  /** The `Authorization` header as it was sent. */
  readonly authorization: string | undefined
  /** The `Accept` header as it was sent. */
  readonly accept: string | undefined
  readonly ip: string
  readonly requestId: string
}
