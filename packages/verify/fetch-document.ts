/** Fetches a document with a limit on its size and on the time, and without following redirects. */

interface FetchedDocument {
  /** The server answered 304: the cached document is still current. */
  readonly unchanged: boolean
  readonly text: string
  readonly etag: string | undefined
  /** Seconds for which the document may be cached (`Cache-Control`, `Age`); undefined if the server does not say. */
  readonly maxAge: number | undefined
}

interface FetchOptions {
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  readonly maxBytes: number
  readonly accept: string
  readonly etag?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** The status is not 200, nor 304 in response to a conditional request. */
export class UnexpectedStatus extends Error {
  readonly status: number
  constructor(url: string, status: number) {
    super(`${url} answered ${status}`)
    this.status = status
  }
}

/** Whether the request ran into its timeout, so the server is reachable but does not answer. */
export function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** @throws {Error} for any status except 200 and 304, a redirect, a timeout, and a document that is too large */
export async function fetchDocument(url: string, options: FetchOptions): Promise<FetchedDocument> {
  const headers: Record<string, string> = { accept: options.accept, ...options.headers }
  if (options.etag !== undefined) headers['if-none-match'] = options.etag
  const response = await options.fetch(url, {
    headers,
    // Keys come only from the address that the issuer's metadata names (RFC 8725 §3.10).
    redirect: 'error',
    signal: AbortSignal.timeout(options.timeoutMs),
  })
  const maxAge = freshnessLifetime(response.headers)
  const etag = response.headers.get('etag') ?? undefined
  // A 304 to an unconditional request would leave nothing to use.
  if (response.status === 304 && options.etag !== undefined)
    return { unchanged: true, text: '', etag: etag ?? options.etag, maxAge }
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new UnexpectedStatus(url, response.status)
  }
  return { unchanged: false, text: await readText(response, options.maxBytes), etag, maxAge }
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  if (!response.body) return ''
  const reader = response.body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > maxBytes) {
      await reader.cancel()
      throw new Error('the document is too large')
    }
    chunks.push(value)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Seconds (RFC 9111 §4.2). `no-store` and `no-cache` mean 0 (§5.2.2). */
function freshnessLifetime(headers: Headers): number | undefined {
  const control = headers.get('cache-control')
  if (control === null) return undefined
  if (/\bno-(?:store|cache)\b/i.test(control)) return 0
  const seconds = /\bmax-age="?(\d+)/i.exec(control)?.[1]
  if (seconds === undefined) return undefined
  // §5.1: the document has spent this time in caches on the way.
  const age = Math.max(0, Number(headers.get('age')) || 0)
  return Math.max(0, Number(seconds) - age)
}
