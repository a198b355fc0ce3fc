/** GET with everything bounded: time, size, redirects. */

export interface Document {
  /** 304: what was held is still right. */
  readonly unchanged: boolean
  readonly text: string
  readonly etag: string | undefined
  /** Seconds for which it may be held, from `Cache-Control` and `Age`; undefined if it does not say. */
  readonly maxAge: number | undefined
}

export interface FetchOptions {
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  readonly maxBytes: number
  readonly accept: string
  readonly etag?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** The server took the connection and then kept us waiting. */
export function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** @throws {Error} for anything but 200 and 304 */
export async function fetchDocument(url: string, options: FetchOptions): Promise<Document> {
  const headers: Record<string, string> = { accept: options.accept, ...options.headers }
  if (options.etag !== undefined) headers['if-none-match'] = options.etag
  const response = await options.fetch(url, {
    headers,
    // Where the issuer says its keys are, and nowhere else (RFC 8725 §3.10).
    redirect: 'error',
    signal: AbortSignal.timeout(options.timeoutMs),
  })
  const maxAge = lifetime(response.headers)
  const etag = response.headers.get('etag') ?? undefined
  // Only an answer to what was asked: a 304 to an unconditional request would leave nothing to hold.
  if (response.status === 304 && options.etag !== undefined)
    return { unchanged: true, text: '', etag: etag ?? options.etag, maxAge }
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`${url} answered ${response.status}`)
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
      throw new Error('the answer is too large')
    }
    chunks.push(value)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** RFC 9111 §5.2.2: `no-store` and `no-cache` mean 0. */
function lifetime(headers: Headers): number | undefined {
  const control = headers.get('cache-control')
  if (control === null) return undefined
  if (/\bno-(?:store|cache)\b/i.test(control)) return 0
  const seconds = /\bmax-age="?(\d+)/i.exec(control)?.[1]
  if (seconds === undefined) return undefined
  // §5.1: the time it has spent in caches on the way.
  const age = Math.max(0, Number(headers.get('age')) || 0)
  return Math.max(0, Number(seconds) - age)
}
