/** The parameters of a request, after the form was read: each at most once, empty means absent. */
export interface Parameters {
  get(name: string): string | undefined
  /** For the few that may be repeated (RFC 8707 §2). */
  all(name: string): readonly string[]
}

/** What a protocol endpoint needs to know of a request; no HTTP library in sight. */
export interface ProtocolRequest {
  readonly parameters: Parameters
  /** The `Authorization` header as sent. */
  readonly authorization: string | undefined
  /** URL of the endpoint that was called, from the settings. */
  readonly endpoint: string
  readonly ip: string
  readonly requestId: string
}
