/**
 * All outgoing requests to clients go through here. An administrator registered the address, so private networks are allowed. The
 * response is not trusted, though: redirects are not followed, but returned as they are, and each call has a timeout (RFC 8725
 * §3.10). Must not know what is requested.
 */
export interface Call extends Omit<RequestInit, 'redirect'> {
  readonly milliseconds: number
}

/** The caller must limit how much of the body it reads, and cancel the rest. */
export function callClient(uri: string, { milliseconds, signal, ...request }: Call): Promise<Response> {
  const timeout = AbortSignal.timeout(milliseconds)
  return fetch(uri, {
    ...request,
    redirect: 'manual',
    signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
  })
}
