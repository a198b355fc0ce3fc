/**
 * Protection against cross-site request forgery: browsers send this app's cookies with requests from other sites too.
 */
import type { FastifyRequest } from 'fastify'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * Whether the request comes from a page of this app, or has a safe method (RFC 9110 §9.2.1). Other requests need a
 * header that a form cannot send and another origin cannot send without CORS, and the browser must say that the request
 * is same-origin (`Sec-Fetch-Site` or `Origin`). Both are required, so that one bug in a browser is not enough.
 */
export function passesCsrfCheck(request: FastifyRequest, origin: string, header: string): boolean {
  if (SAFE_METHODS.has(request.method)) return true
  const { origin: sender, 'sec-fetch-site': site } = request.headers
  if (request.headers[header] === undefined) return false
  if (sender === undefined && site === undefined) return false
  return (sender === undefined || sender === origin) && (site === undefined || site === 'same-origin')
}
