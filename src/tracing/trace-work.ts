/** Spans for the slow work besides the store: hashing, signing, calls to clients, and background jobs. */
import type { Span } from '@opentelemetry/api'
import type { ConcurrencyLimiter } from '../accounts/concurrency-limiter.ts'
import type { Signer } from '../keys/signer.ts'
import type { FetchJwks } from '../oauth/client-auth/client-keys.ts'
import type { SendLogoutToken } from '../oauth/logout/send-logout-token.ts'
import { fail, SpanKind, type SpanOptions, type Spans } from './spans.ts'
import type { TracedJobs } from './tracing.ts'

export function traceConcurrencyLimiter(
  hashingLimiter: ConcurrencyLimiter,
  spans: Spans,
): ConcurrencyLimiter {
  return {
    ...hashingLimiter,
    async run(work, origin) {
      let started = false
      let queue: Span | null = null
      const done = hashingLimiter.run(() => {
        started = true
        queue?.end()
        return spans.child('password work', {}, work)
      }, origin)
      // Work that starts at once has not waited.
      if (!started) queue = spans.startChild('password queue', {})
      try {
        return await done
      } catch (error) {
        if (!started && queue) fail(queue, error)
        throw error
      } finally {
        if (!started) queue?.end()
      }
    },
  }
}

export function traceSigner(signer: Signer, spans: Spans): Signer {
  return {
    ...signer,
    sign: (typ, claims, alg) => spans.child(`sign ${typ}`, {}, () => signer.sign(typ, claims, alg)),
    signUntil: (typ, claims, until, alg) =>
      spans.child(`sign ${typ}`, {}, () => signer.signUntil(typ, claims, until, alg)),
  }
}

/**
 * The address of a call to a client, and nothing of what is sent. The call carries no `traceparent`: the client belongs to
 * another organisation, which could otherwise correlate requests of this server.
 */
function call(method: string, uri: string): SpanOptions {
  const { hostname, port, protocol } = new URL(uri)
  return {
    kind: SpanKind.CLIENT,
    attributes: {
      'http.request.method': method,
      'server.address': hostname,
      'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
    },
  }
}

export function traceFetchJwks(fetchJwks: FetchJwks, spans: Spans): FetchJwks {
  return (uri) => spans.childOrTrace('GET jwks_uri', call('GET', uri), () => fetchJwks(uri))
}

export function traceSendLogoutToken(send: SendLogoutToken, spans: Spans): SendLogoutToken {
  return (uri, token, signal) =>
    spans.childOrTrace('POST backchannel_logout_uri', call('POST', uri), () => send(uri, token, signal))
}

/** Polling has no spans: at four times a second, they would outnumber all others. */
export function traceJobs<J extends TracedJobs>(jobs: J, spans: Spans): J {
  return {
    ...jobs,
    maintainKeys: () => spans.lazyTrace('maintain keys', jobs.maintainKeys),
    prune: () => spans.lazyTrace('prune', jobs.prune),
  }
}
