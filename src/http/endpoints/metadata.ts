import type { FastifyReply, FastifyRequest } from 'fastify'
import { ACR_VALUES } from '../../accounts/amr.ts'
import type { Config } from '../../config/load.ts'
import { issuerBase } from '../../issuer-path.ts'
import type { LiveRing } from '../../keys/live-ring.ts'
import { laneNames } from '../../keys/ring.ts'
import { RESPONSE_MODES } from '../../oauth/authorize/redirect-target.ts'
import { PROMPTS } from '../../oauth/authorize/request.ts'
import { METHOD_NAMES, usesCertificate } from '../../oauth/client-auth/index.ts'
import { CLIENT_ALGORITHMS } from '../../oauth/client-registration/client-jwks.ts'
import { PROOF_ALGORITHMS } from '../../oauth/dpop/algorithms.ts'
import { GRANT_NAMES } from '../../oauth/grants/index.ts'
import { CODE_CHALLENGE_METHODS } from '../../oauth/pkce.ts'
import { PROTOCOL_SCOPES } from '../../oauth/scope.ts'
import { USER_CLAIM_NAMES } from '../../oauth/user-claims.ts'
import { ID_TOKEN_CLAIMS } from '../../tokens/id-token.ts'
import { LOCALES } from '../../views/texts/index.ts'
import {
  AUTHORIZE_PATH,
  JWKS_PATH,
  LOGOUT_PATH,
  type ProtocolEndpoint,
  STATUS_AGGREGATION_PATH,
} from '../routes.ts'
import { mtlsBase } from '../tls/mtls-base.ts'

/**
 * RFC 8414 §2 registers the lists of authentication methods and algorithms for these endpoints only. At others, clients
 * authenticate as at the token endpoint (RFC 9126 §2).
 */
const ENDPOINTS_WITH_AUTH_METHODS: readonly string[] = [
  'token_endpoint',
  'revocation_endpoint',
  'introspection_endpoint',
]

/**
 * RFC 8414 §2 and OpenID Connect Discovery §3, derived from the lists that the server itself uses.
 * @param lanes the algorithms that the ring signs with, the default one first
 */
export function serverMetadata(
  config: Config,
  endpoints: readonly ProtocolEndpoint[],
  lanes: readonly string[],
): Record<string, unknown> {
  const base = issuerBase(config.issuer)
  const metadata: Record<string, unknown> = {
    issuer: config.issuer,
    jwks_uri: base + JWKS_PATH,
    grant_types_supported: [...GRANT_NAMES],
    authorization_endpoint: base + AUTHORIZE_PATH,
    response_types_supported: ['code'],
    response_modes_supported: [...RESPONSE_MODES],
    code_challenge_methods_supported: [...CODE_CHALLENGE_METHODS],
    // RFC 9207 §3
    authorization_response_iss_parameter_supported: true,
    // RFC 9101 §10.5, OIDC Discovery §3
    request_parameter_supported: true,
    request_uri_parameter_supported: false,
    request_object_signing_alg_values_supported: [...CLIENT_ALGORITHMS],
    // RFC 9449 §5.1
    dpop_signing_alg_values_supported: [...PROOF_ALGORITHMS],
    prompt_values_supported: [...PROMPTS],
    scopes_supported: [...PROTOCOL_SCOPES],
    claims_supported: [...ID_TOKEN_CLAIMS, ...USER_CLAIM_NAMES.filter((name) => name !== 'sub')],
    claims_parameter_supported: true,
    acr_values_supported: [...ACR_VALUES],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...lanes],
    // RFC 9701 §7
    introspection_signing_alg_values_supported: [...lanes],
    // JARM §4
    authorization_signing_alg_values_supported: [...lanes],
    ui_locales_supported: [...LOCALES],
    // RP-Initiated Logout §2.1, Back-Channel Logout §2.1
    end_session_endpoint: base + LOGOUT_PATH,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    // draft-ietf-oauth-status-list §9.1
    status_list_aggregation_endpoint: base + STATUS_AGGREGATION_PATH,
  }
  const mtls = mtlsBase(config)
  if (mtls !== null) {
    // RFC 8705 §5
    metadata.mtls_endpoint_aliases = Object.fromEntries(
      endpoints.map(({ path, metadata: name }) => [name, mtls + path]),
    )
  }
  // RFC 8705 §3.3
  if (receivesCertificates(config)) metadata.tls_client_certificate_bound_access_tokens = true
  for (const { path, metadata: name } of endpoints) {
    metadata[name] = base + path
    if (!ENDPOINTS_WITH_AUTH_METHODS.includes(name)) continue
    metadata[`${name}_auth_methods_supported`] = METHOD_NAMES.filter(
      (method) =>
        (method !== 'none' || name !== 'introspection_endpoint') &&
        (!usesCertificate(method) || receivesCertificates(config)),
    )
    metadata[`${name}_auth_signing_alg_values_supported`] = [...CLIENT_ALGORITHMS]
  }
  return metadata
}

/** Whether certificates of clients can arrive: at a port that asks for them, or through a proxy. */
const receivesCertificates = ({ mtlsPort, trustProxy }: Config): boolean =>
  mtlsPort !== null || trustProxy !== 0

export function metadataEndpoint(
  config: Config,
  endpoints: readonly ProtocolEndpoint[],
  { ring }: Pick<LiveRing, 'ring'>,
) {
  let version: number | undefined
  let body = ''
  return async (_request: FastifyRequest, reply: FastifyReply) => {
    const current = ring()
    if (version !== current.version) {
      body = JSON.stringify(serverMetadata(config, endpoints, laneNames(current)))
      version = current.version
    }
    return reply
      .type('application/json')
      .header('cache-control', `public, max-age=${config.jwksMaxAge}`)
      .send(body)
  }
}
