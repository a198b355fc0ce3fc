/** The parameters of a request, read from its form or query. */
export interface Parameters {
  get(name: string): string | undefined
  /** For a parameter that may be repeated (RFC 8707 §2). */
  all(name: string): readonly string[]
}

/** Name and value as they were sent, in order. */
export type Pair = readonly [name: string, value: string]

/** In a form or query, and in a request object. */
export const MAX_PARAMETERS = 64

/** RFC 8707 §2 allows only this one to be repeated; otherwise it is invalid_request (RFC 6749 §3.1, §3.2). */
const REPEATABLE: readonly string[] = ['resource']

/** Of a repeated parameter the first value counts; callers refuse repeats with `repeatedIn`. */
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

/** Names that occur more often than they may. */
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
  /** As they were sent, for requests that are stored or resolved. */
  readonly pairs: readonly Pair[]
  /** The `Authorization` header as sent. */
  readonly authorization: string | undefined
  /** URL of the called endpoint, derived from the settings. */
  readonly endpoint: string
  readonly ip: string
  readonly requestId: string
}
