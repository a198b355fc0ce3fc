import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/load.ts'
import { CLIENT_ALGORITHMS } from '../../oauth/client-auth/client-jwt.ts'
import { METHOD_NAMES } from '../../oauth/client-auth/index.ts'
import { GRANT_NAMES } from '../../oauth/grants/index.ts'
import { JWKS_PATH, type ProtocolEndpoint, STATUS_AGGREGATION_PATH } from '../routes.ts'

/** Without the trailing slash that an issuer may have, so that paths can be appended. */
export function baseUrl(issuer: string): string {
  return issuer.replace(/\/$/, '')
}

/** RFC 8414 §2 and OpenID Connect Discovery §3, derived from the lists that the server itself runs on. */
export function serverMetadata(
  config: Config,
  endpoints: readonly ProtocolEndpoint[],
): Record<string, unknown> {
  const base = baseUrl(config.issuer)
  const metadata: Record<string, unknown> = {
    issuer: config.issuer,
    jwks_uri: base + JWKS_PATH,
    grant_types_supported: [...GRANT_NAMES],
    // draft-ietf-oauth-status-list §9.1
    status_list_aggregation_endpoint: base + STATUS_AGGREGATION_PATH,
  }
  for (const { path, metadata: name, bearer } of endpoints) {
    metadata[name] = base + path
    if (bearer) continue
    // §2: one such pair for each endpoint at which clients authenticate.
    metadata[`${name}_auth_methods_supported`] = METHOD_NAMES.filter(
      (method) => method !== 'none' || name !== 'introspection_endpoint',
    )
    metadata[`${name}_auth_signing_alg_values_supported`] = [...CLIENT_ALGORITHMS]
  }
  return metadata
}

export function metadataEndpoint(config: Config, endpoints: readonly ProtocolEndpoint[]) {
  const body = JSON.stringify(serverMetadata(config, endpoints))
  return async (_request: FastifyRequest, reply: FastifyReply) =>
    reply.type('application/json').header('cache-control', `public, max-age=${config.jwksMaxAge}`).send(body)
}
