/**
 * What is wrapped so that traces tell of it. Parts are wrapped where they are put together, as metrics do it, and know
 * nothing of it. Must not know OpenTelemetry: this file is loaded by every server, and `open.ts` only by one that is asked
 * for traces. No span may hold what was sent to us: neither names of people, nor addresses, headers, queries or secrets.
 */
import type { Gate } from '../accounts/concurrency-limiter.ts'
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

/** The same things, traced. */
export interface Wrappers {
  audit(audit: Audit): Audit
  store(db: MonitoredDb): MonitoredDb
  gate(gate: Gate): Gate
  signer(signer: Signer): Signer
  fetchJwks(fetch: FetchJwks): FetchJwks
  sendLogoutToken(send: SendLogoutToken): SendLogoutToken
  jobs<J extends TracedJobs>(jobs: J): J
}

export interface Tracing extends Wrappers {
  /** Its lines say to which trace they belong. */
  logger<L extends Logger>(logger: L): L
  request(request: TracedRequest): RequestSpan
  /** Delivers what is left, within a few seconds. */
  stop(): Promise<void>
}

interface TracedRequest {
  readonly method: string
  /** The route's pattern below the issuer; undefined if there is none. */
  readonly route: string | undefined
  readonly requestId: string
  /** The caller's `traceparent`, as it came (W3C Trace Context §3.2). */
  readonly caller: string | readonly string[] | undefined
}

export interface RequestSpan {
  /** Does `work`; it and what follows from it belong to this request. */
  run(work: () => void): void
  /** @param status undefined if nothing was answered */
  end(status?: number): void
}

/** For a server without traces: everything stays what it is. */
export const untraced: Wrappers = {
  audit: (audit) => audit,
  store: (db) => db,
  gate: (gate) => gate,
  signer: (signer) => signer,
  fetchJwks: (fetch) => fetch,
  sendLogoutToken: (send) => send,
  jobs: (jobs) => jobs,
}
