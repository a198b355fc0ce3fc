/**
 * Fetches a client's JWKS. The address was registered by an administrator, so private networks are allowed;
 * still the answer is untrusted: no redirects, bounded in time and size (RFC 8725 §3.10).
 */
import type { JSONWebKeySet } from 'jose'
import type { FetchJwks } from './client-keys.ts'

export interface FetchLimits {
  readonly milliseconds: number
  readonly bytes: number
}

const LIMITS: FetchLimits = { milliseconds: 5000, bytes: 65_536 }

/** What it makes throws for anything but 200 with a small JSON document with `keys`. */
export function createFetchJwks({ milliseconds, bytes } = LIMITS): FetchJwks {
  return async (uri) => {
    const response = await fetch(uri, {
      redirect: 'error',
      headers: { accept: 'application/jwk-set+json, application/json' },
      signal: AbortSignal.timeout(milliseconds),
    })
    if (response.status !== 200 || !response.body) {
      await response.body?.cancel()
      throw new Error(`the JWKS answered ${response.status}`)
    }
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body) {
      size += chunk.length
      if (size > bytes) throw new Error('the JWKS is too large')
      chunks.push(chunk)
    }
    const document = JSON.parse(Buffer.concat(chunks).toString('utf8')) as JSONWebKeySet
    if (!Array.isArray(document?.keys)) throw new Error('the JWKS has no keys')
    return document
  }
}
