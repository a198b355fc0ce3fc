/** Fetches a client's JWKS with limits on time and size (RFC 8725 §3.10). */
import type { JSONWebKeySet } from 'jose'
import { callClient, readBody } from '../call-client.ts'
import type { FetchJwks } from './client-keys.ts'

export interface FetchLimits {
  readonly milliseconds: number
  readonly bytes: number
}

export const JWKS_FETCH_LIMITS: FetchLimits = { milliseconds: 5000, bytes: 65_536 }

/** The returned function throws unless the response is 200 with a JSON document within the limits that has `keys`. */
export function createFetchJwks({ milliseconds, bytes } = JWKS_FETCH_LIMITS): FetchJwks {
  return async (uri) => {
    const response = await callClient(uri, {
      milliseconds,
      headers: { accept: 'application/jwk-set+json, application/json' },
    })
    if (response.status !== 200 || !response.body) {
      await response.body?.cancel()
      throw new Error(`the JWKS request returned ${response.status}`)
    }
    const body = await readBody(response, bytes)
    if (body === null) throw new Error('the JWKS is too large')
    const document = JSON.parse(body.toString('utf8')) as JSONWebKeySet
    if (!Array.isArray(document?.keys)) throw new Error('the JWKS has no keys')
    return document
  }
}
