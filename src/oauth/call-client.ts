/**
 * All outgoing requests to clients go through here. An administrator registered the address, so private networks are allowed. The
 * response is not trusted, though: redirects are not followed, but returned as they are, and each call has a timeout (RFC 8725
 * §3.10). Must not know what is requested.
 */
export interface Call extends Omit<RequestInit, 'redirect'> {
  readonly milliseconds: number
}

/** The body of a response; null if it is longer than `bytes`. The rest is then not read. */
export async function readBody({ body }: Response, bytes: number): Promise<Buffer | null> {
  const chunks: Uint8Array[] = []
  let size = 0
  // Leaving the loop early cancels the rest.
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > bytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
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
