import Negotiator from 'negotiator'
import type { OAuth } from '../../oauth/index.ts'
import { INTROSPECTION_TYPE } from '../../oauth/introspection/signed-introspection.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

const MEDIA_TYPE = `application/${INTROSPECTION_TYPE}`

/** RFC 7662 §2, and RFC 9701 §4: a signed response for a resource server that asks for it. */
export function introspectEndpoint({ introspection }: Pick<OAuth, 'introspection'>): ProtocolHandler {
  return async (request) => {
    if (!prefersSigned(request.accept)) return json(await introspection.plain(request))
    return { kind: 'jwt', type: MEDIA_TYPE, jwt: await introspection.signed(request) }
  }
}

/** JSON comes first: it is for those who accept anything, or say nothing (RFC 9110 §12.5.1). */
const prefersSigned = (accept: string | undefined): boolean =>
  accept !== undefined &&
  new Negotiator({ headers: { accept } }).mediaType(['application/json', MEDIA_TYPE]) === MEDIA_TYPE
