import type { FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import type { StatusListSigner } from '../../status/status-list-signer.ts'
import type { Seconds } from '../../system.ts'
import { matchesEtag } from './conditional.ts'

/**
 * draft-ietf-oauth-status-list §8: the signed list, compressed if the client prefers that (RFC 9110 §12.5.3).
 * @param ttl for caches
 */
export function statusListEndpoint(statusLists: Pick<StatusListSigner, 'list'>, ttl: Seconds) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { number } = request.params as { number: string }
    const list = /^(?:0|[1-9]\d{0,8})$/.test(number) ? await statusLists.list(Number(number)) : null
    if (!list) return reply.status(404).header('cache-control', 'no-store').send({ error: 'not_found' })
    reply
      .header('etag', list.etag)
      .header('cache-control', `public, max-age=${ttl}`)
      .header('vary', 'accept-encoding')
    if (matchesEtag(request, list.etag)) return reply.status(304).send()
    reply.type('application/statuslist+jwt')
    const encoding = new Negotiator(request).encoding(['gzip', 'identity'])
    return encoding === 'gzip'
      ? reply.header('content-encoding', 'gzip').send(list.gzip)
      : reply.send(list.jwt)
  }
}

/** draft-ietf-oauth-status-list §9: the URIs of all lists, so that verifiers can load them in advance. @param ttl for caches */
export function statusAggregationEndpoint(statusLists: Pick<StatusListSigner, 'uris'>, ttl: Seconds) {
  return async (_request: FastifyRequest, reply: FastifyReply) =>
    reply
      .type('application/json')
      .header('cache-control', `public, max-age=${ttl}`)
      .send(JSON.stringify({ status_lists: await statusLists.uris() }))
}
