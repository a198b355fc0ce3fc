/**
 * The list of endpoints and their paths. Must not know what an endpoint does. A new endpoint is a file in endpoints/ and an
 * entry below; metadata, CORS and 405 responses follow from it.
 */
import type { AuditEvent } from '../audit/events.ts'
import type { OAuth } from '../oauth/index.ts'
import { introspectEndpoint } from './endpoints/introspect.ts'
import { parEndpoint } from './endpoints/par.ts'
import { revokeEndpoint } from './endpoints/revoke.ts'
import { tokenEndpoint } from './endpoints/token.ts'
import { userInfoEndpoint } from './endpoints/userinfo.ts'
import type { ProtocolHandler } from './protocol.ts'

export interface ProtocolEndpoint {
  /** Below the issuer. */
  readonly path: string
  /** Name in the metadata (RFC 8414 §2). */
  readonly metadata: string
  /** Whether pages of other origins may call it. */
  readonly cors: boolean
  /** The audit event of a refused request. */
  readonly failureEvent: AuditEvent
  readonly status?: 200 | 201
  /** Authorized by an access token and not by client authentication (RFC 6750, RFC 9449 §7). */
  readonly needsToken?: true
  readonly handler: (oauth: OAuth) => ProtocolHandler
}

export const protocolEndpoints: readonly ProtocolEndpoint[] = [
  {
    path: '/oauth2/token',
    metadata: 'token_endpoint',
    cors: true,
    failureEvent: 'token.refused',
    handler: tokenEndpoint,
  },
  {
    path: '/oauth2/revoke',
    metadata: 'revocation_endpoint',
    cors: true,
    failureEvent: 'revocation.refused',
    handler: revokeEndpoint,
  },
  {
    path: '/oauth2/introspect',
    metadata: 'introspection_endpoint',
    cors: false,
    failureEvent: 'introspection.refused',
    handler: introspectEndpoint,
  },
  {
    path: '/oauth2/par',
    metadata: 'pushed_authorization_request_endpoint',
    cors: true,
    failureEvent: 'par.refused',
    status: 201,
    handler: parEndpoint,
  },
  {
    path: '/oauth2/userinfo',
    metadata: 'userinfo_endpoint',
    cors: true,
    failureEvent: 'userinfo.refused',
    needsToken: true,
    handler: userInfoEndpoint,
  },
]

export const AUTHORIZE_PATH = '/oauth2/authorize'
export const LOGOUT_PATH = '/oauth2/logout'
export const STATUS_LISTS_PATH = '/status-lists'
/** The path is not `/status-lists`, because a static export cannot have a folder and a file with the same name. */
export const STATUS_AGGREGATION_PATH = '/.well-known/status-lists.json'
export const JWKS_PATH = '/.well-known/jwks.json'
export const OAUTH_METADATA = '/.well-known/oauth-authorization-server'
export const OPENID_METADATA = '/.well-known/openid-configuration'
export const METRICS_PATH = '/metrics'

/**
 * RFC 8414 §3.1 puts the path of the issuer behind the well-known part, and OpenID Connect Discovery §4 before it. Libraries look in
 * either place for either document, so both documents are at both places.
 * @param prefix the path of the issuer, or empty
 */
export function metadataPaths(prefix: string): readonly string[] {
  const documents = [OAUTH_METADATA, OPENID_METADATA]
  return [...new Set(documents.flatMap((path) => [path + prefix, prefix + path]))]
}
