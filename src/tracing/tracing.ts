/**
 * The interface of tracing, and the parts that it wraps. `node/` does the wrapping; the parts do not know about tracing. Must not
 * know OpenTelemetry: every server loads this file, but only a server with tracing enabled loads `open.ts`. No span may contain
 * data from a client: no usernames, addresses, headers, queries or secrets.
 */
import type { ConcurrencyLimiter } from '../accounts/concurrency-limiter.ts'
import type { Audit } from '../audit/events.ts'
import type { Signer } from '../keys/signer.ts'
import type { FetchJwks } from '../oauth/client-auth/client-keys.ts'
import type { SendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import type { MonitoredDb } from '../store/monitored-db.ts'
import type { Logger } from '../system.ts'

/** The background jobs that are traced. */
export interface TracedJobs {
  maintainKeys(): Promise<void>
  prune(): Promise<void>
}

/** Each function returns its argument with tracing added. */
export interface Wrappers {
  audit(audit: Audit): Audit
  store(db: MonitoredDb): MonitoredDb
  hashingLimiter(hashingLimiter: ConcurrencyLimiter): ConcurrencyLimiter
  signer(signer: Signer): Signer
  fetchJwks(fetch: FetchJwks): FetchJwks
  sendLogoutToken(send: SendLogoutToken): SendLogoutToken
  jobs<J extends TracedJobs>(jobs: J): J
}

export interface Tracing extends Wrappers {
  /** Adds the ids of the trace and the span to log lines. */
  logger<L extends Logger>(logger: L): L
  request(request: TracedRequest): RequestSpan
  /** Sends the remaining spans, within a few seconds. */
  stop(): Promise<void>
}

interface TracedRequest {
  readonly method: string
  /** The pattern of the route, below the issuer; undefined if no route matched. */
  readonly route: string | undefined
  readonly requestId: string
  /** The caller's `traceparent` header (W3C Trace Context §3.2). */
  readonly caller: string | readonly string[] | undefined
}

export interface RequestSpan {
  /** Runs `work`. All spans that it starts belong to this request, even those that it starts later and asynchronously. */
  run(work: () => void): void
  /** @param status undefined if no response was sent */
  end(status?: number): void
}

/** A server without tracing uses these wrappers, which return every part unchanged. */
export const untraced: Wrappers = {
  audit: (audit) => audit,
  store: (db) => db,
  hashingLimiter: (hashingLimiter) => hashingLimiter,
  signer: (signer) => signer,
  fetchJwks: (fetch) => fetch,
  sendLogoutToken: (send) => send,
  jobs: (jobs) => jobs,
}
