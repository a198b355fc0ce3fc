import type { FastifyRequest } from 'fastify'

/** RFC 9110 §13.1.2: weak comparison, any of the list, or `*`. */
export function matchesEtag(request: FastifyRequest, etag: string): boolean {
  const header = request.headers['if-none-match']
  if (header === undefined) return false
  return header === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
