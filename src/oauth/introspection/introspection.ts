/** Token introspection (RFC 7662). Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import { isSameResource } from '../../resource-uri.ts'
import type { ClientSession } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { AccessTokenClaims } from '../../tokens/access-token.ts'
import { tokenTypeOf } from '../../tokens/confirmation.ts'
import type { RefreshTokenParts } from '../../tokens/refresh-token.ts'
import type { ActiveTokens } from '../active-token.ts'
import { auditFailure } from '../audit-failures.ts'
import type { AuthenticateClient } from '../client-auth/index.ts'
import { invalidClient, invalidRequest } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type PresentedToken, type PresentedTokenDeps, readPresentedToken } from '../presented-token.ts'
import { createSignIntrospection } from './signed-introspection.ts'

export interface IntrospectionDeps extends PresentedTokenDeps {
  readonly authenticate: AuthenticateClient
  readonly activeTokens: ActiveTokens
  readonly audit: Audit
}

/** RFC 7662 §2.2: the response for an inactive token contains nothing else, whatever the reason. */
type IntrospectionResponse = { active: false } | ({ active: true } & Record<string, unknown>)

/** Both throw an OAuthError: invalid_client unless a confidential client sent the request (§2.1). */
export interface Introspection {
  plain(request: ProtocolRequest): Promise<IntrospectionResponse>
  /** The same response as a signed JWT (RFC 9701). */
  signed(request: ProtocolRequest): Promise<string>
}

const INACTIVE: IntrospectionResponse = { active: false }

export function createIntrospection(deps: IntrospectionDeps): Introspection {
  const { authenticate, activeTokens, clock, audit } = deps
  const sign = createSignIntrospection(deps)

  return {
    plain: async (request) => (await introspect(request)).response,
    async signed(request) {
      const { client, response } = await introspect(request)
      return sign(response, client)
    },
  }

  function introspect(
    request: ProtocolRequest,
  ): Promise<{ client: Client; response: IntrospectionResponse }> {
    return auditFailure(audit, 'introspection.refused', request, async (established) => {
      const client = await authenticate(request)
      established.clientId = client.id
      // §4: otherwise anyone who knows a client id could check stolen tokens here.
      if (client.authMethod === 'none') throw invalidClient({ detail: 'public_client' })
      const token = request.parameters.get('token')
      if (token === undefined) throw invalidRequest('token is missing')
      const presented = await readPresentedToken(deps, token)
      return { client, response: await responseFor(presented, client) }
    })
  }

  async function responseFor(
    presented: PresentedToken | null,
    client: Client,
  ): Promise<IntrospectionResponse> {
    if (!presented) return INACTIVE
    return presented.type === 'access_token'
      ? accessToken(presented.claims, client)
      : refreshToken(presented.parts, client)
  }

  async function accessToken(claims: AccessTokenClaims, requester: Client): Promise<IntrospectionResponse> {
    const isForApi = requester.introspects.some((api) => isSameResource(api, claims.aud))
    if (claims.client_id !== requester.id && !isForApi) return INACTIVE
    const status = await activeTokens.accessToken(claims)
    if (!status.active) return INACTIVE
    const { scope: _, ...rest } = claims
    const { endUser } = status
    const { scopes, roles } = status.rights
    const username =
      endUser && (isForApi || mayKnowUsername(endUser.session, scopes)) ? endUser.user.username : undefined
    return {
      active: true,
      token_type: tokenTypeOf(claims.cnf),
      ...rest,
      ...(username === undefined ? {} : { username }),
      ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
      ...(claims.roles ? { roles: claims.roles.filter((role) => roles.includes(role)) } : {}),
    }
  }

  async function refreshToken(parts: RefreshTokenParts, requester: Client): Promise<IntrospectionResponse> {
    const status = await activeTokens.session(parts.clientSessionId)
    if (!status.active) return INACTIVE
    const { session } = status
    const now = clock.now()
    if (
      session.clientId !== requester.id ||
      session.generation !== parts.generation ||
      now >= session.expiresAt ||
      now >= session.idleExpiresAt
    ) {
      return INACTIVE
    }
    const { scopes } = status.rights
    return {
      active: true,
      client_id: session.clientId,
      sub: session.userId,
      ...(mayKnowUsername(session, scopes) ? { username: status.user.username } : {}),
      iss: deps.issuer,
      iat: session.rotatedAt,
      exp: session.idleExpiresAt,
      ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
    }
  }
}

/**
 * RFC 7662 §5: the client itself learns no more than its tokens stand for. The username belongs to the scope `profile`, which the user
 * has been shown. A session without a user session is from the password grant, whose client was given the username.
 */
const mayKnowUsername = ({ userSessionId }: ClientSession, scopes: readonly string[]): boolean =>
  userSessionId === null || scopes.includes('profile')
