/**
 * Every outgoing request of this server goes to an address that is registered for a client. An administrator registered
 * it, so private networks are allowed. The responder is still not trusted: redirects are not followed, and each call has
 * a timeout (RFC 8725 §3.10). Must not know what is requested.
 */
export interface Call extends Omit<RequestInit, 'redirect'> {
  readonly milliseconds: number
}

/** The caller must bound what it reads of the body, and cancel the rest. */
export function callClient(uri: string, { milliseconds, signal, ...request }: Call): Promise<Response> {
  const timeout = AbortSignal.timeout(milliseconds)
  return fetch(uri, {
    ...request,
    redirect: 'error',
    signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
  })
}
