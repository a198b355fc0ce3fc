/** The parameters of a request, after the form was read: each at most once, empty means absent. */
export interface Parameters {
  get(name: string): string | undefined
  /** For the few that may be repeated (RFC 8707 §2). */
  all(name: string): readonly string[]
}

/** Name and value as they were sent, in order. */
export type Pair = readonly [name: string, value: string]

/** RFC 8707 §2 lets this one be repeated; any other twice is invalid_request (RFC 6749 §3.1, §3.2). */
const REPEATABLE: readonly string[] = ['resource']

/** The first of what is repeated; see `repeatedIn`. */
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

/** Names that are there more often than they may be. */
export function repeatedIn(pairs: Iterable<Pair>): ReadonlySet<string> {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const [name] of pairs) {
    if (seen.has(name) && !REPEATABLE.includes(name)) repeated.add(name)
    seen.add(name)
  }
  return repeated
}

/** What a protocol endpoint needs to know of a request; no HTTP library in sight. */
export interface ProtocolRequest {
  readonly parameters: Parameters
  /** As they were sent, for who keeps or resolves them. */
  readonly pairs: readonly Pair[]
  /** The `Authorization` header as sent. */
  readonly authorization: string | undefined
  /** URL of the endpoint that was called, from the settings. */
  readonly endpoint: string
  readonly ip: string
  readonly requestId: string
}
