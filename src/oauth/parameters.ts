/** The parameters of a request, from its form or query. */
export interface Parameters {
  get(name: string): string | undefined
  /** For a parameter that may be repeated (RFC 8707 §2). */
  all(name: string): readonly string[]
}

/** Name and value of one parameter as it was sent. */
export type Pair = readonly [name: string, value: string]

/** Per form, query or request object. */
export const MAX_PARAMETERS = 64

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

/** What a protocol endpoint needs of a request, independent of the HTTP library. */
export interface ProtocolRequest {
  readonly parameters: Parameters
  /** The parameters as they were sent, in order. */
  readonly pairs: readonly Pair[]
  /** The `Authorization` header as it was sent. */
  readonly authorization: string | undefined
  /** The endpoint's public URL, derived from the settings. */
  readonly endpoint: string
  readonly ip: string
  readonly requestId: string
}
