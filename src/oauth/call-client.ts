/**
 * Every request that this server makes goes to an address that a client registered. An administrator registered it, so
 * private networks are allowed; still what answers is not trusted: nobody is sent elsewhere, or waited for without end
 * (RFC 8725 §3.10). Must not know what is asked.
 */
export interface Call extends Omit<RequestInit, 'redirect'> {
  readonly milliseconds: number
}

/** Whoever gets the answer reads no more of its body than they need, and cancels the rest. */
export function callClient(uri: string, { milliseconds, signal, ...request }: Call): Promise<Response> {
  const patience = AbortSignal.timeout(milliseconds)
  return fetch(uri, {
    ...request,
    redirect: 'error',
    signal: signal ? AbortSignal.any([patience, signal]) : patience,
  })
}
