import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '../services.ts'
import { matchesEtag } from './conditional.ts'

/** draft-ietf-oauth-status-list §8: the signed list, compressed if the client can take it. */
export function statusListEndpoint({ statusLists, config }: Services) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { number } = request.params as { number: string }
    const list = /^(?:0|[1-9]\d{0,8})$/.test(number) ? await statusLists.list(Number(number)) : undefined
    if (!list) return reply.status(404).header('cache-control', 'no-store').send({ error: 'not_found' })
    reply
      .header('etag', list.etag)
      .header('cache-control', `public, max-age=${config.statusTtl}`)
      .header('vary', 'accept-encoding')
    if (matchesEtag(request, list.etag)) return reply.status(304).send()
    reply.type('application/statuslist+jwt')
    const encodings = request.headers['accept-encoding'] ?? ''
    return acceptsGzip(encodings)
      ? reply.header('content-encoding', 'gzip').send(list.gzip)
      : reply.send(list.jwt)
  }
}

/** §9: which lists there are, so that a verifier can hold them before it meets a token. */
export function statusAggregationEndpoint({ statusLists, config }: Services) {
  return async (_request: FastifyRequest, reply: FastifyReply) =>
    reply
      .type('application/json')
      .header('cache-control', `public, max-age=${config.statusTtl}`)
      .send(JSON.stringify({ status_lists: await statusLists.uris() }))
}

/** RFC 9110 §12.5.3; a weight of 0 means no. */
function acceptsGzip(header: string): boolean {
  return header.split(',').some((one) => /^\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(one))
}
