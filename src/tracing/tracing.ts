/**
 * The parts that tracing wraps. They are wrapped where they are put together and know nothing about it. Must not know
 * OpenTelemetry: every server loads this file, and only a server with tracing turned on loads `open.ts`. No span may contain
 * what a client sent: no usernames, addresses, headers, queries or secrets.
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

/** Each returns its argument, traced. */
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
  /** Adds the ids of the trace and the span to the lines. */
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
  /** Runs `work`, whose spans become part of this request, also those of its asynchronous parts. */
  run(work: () => void): void
  /** @param status undefined if there was no response */
  end(status?: number): void
}

/** For a server without tracing: returns every part unchanged. */
export const untraced: Wrappers = {
  audit: (audit) => audit,
  store: (db) => db,
  hashingLimiter: (hashingLimiter) => hashingLimiter,
  signer: (signer) => signer,
  fetchJwks: (fetch) => fetch,
  sendLogoutToken: (send) => send,
  jobs: (jobs) => jobs,
}
