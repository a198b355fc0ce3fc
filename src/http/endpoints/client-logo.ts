import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ClientLogoStore } from '../../store/contracts/client-logos.ts'
import { matchesEtag } from './conditional.ts'

/** Below the issuer. The address contains the hash of the content, so browsers may cache it forever. */
export const CLIENT_LOGO_PATH = '/assets/client-logos'

const HASH = /^[\w-]{43}$/

/** The logo of a client, which the server fetched when it was registered. */
export function clientLogoEndpoint(logos: Pick<ClientLogoStore, 'find'>) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { hash } = request.params as { hash: string }
    const logo = HASH.test(hash) ? await logos.find(hash) : null
    if (!logo) return reply.status(404).header('cache-control', 'no-store').send({ error: 'not_found' })
    const etag = `"${hash}"`
    reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .header('etag', etag)
      .header('content-security-policy', "default-src 'none'")
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type(logo.contentType).send(logo.body)
  }
}
