/** Whether a request comes from a page of this app. Cookies come along with anybody's. */
import type { FastifyRequest } from 'fastify'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * A request that changes something needs all of: a header that no form can send and no other origin without CORS, and
 * the browser's own word, `Sec-Fetch-Site` or `Origin`, that it is same-origin. One browser bug is not enough.
 */
export function isOurs(request: FastifyRequest, origin: string, header: string): boolean {
  if (SAFE.has(request.method)) return true
  const { origin: from, 'sec-fetch-site': site } = request.headers
  if (request.headers[header] === undefined) return false
  if (from === undefined && site === undefined) return false
  return (from === undefined || from === origin) && (site === undefined || site === 'same-origin')
}
