/**
 * The phases of every token request, in order: precheck → authenticate the client → grant known → grant allowed → sender proof →
 * authorize → issue. Must not know any grant or authentication method by name.
 */
import type { Audit } from '../audit/events.ts'
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { ReachFailpoint } from '../system.ts'
import type { IssueTokens, TokenResponse } from '../tokens/issue.ts'
import { auditFailure } from './audit-failures.ts'
import type { Authorization } from './authorization.ts'
import type { AuthenticateClient } from './client-auth/index.ts'
import { invalidRequest, OAuthError, unauthorizedClient } from './errors.ts'
import type { Grant } from './grants/grant.ts'
import type { Grants } from './grants/index.ts'
import type { ProtocolRequest } from './parameters.ts'
import type { ProveSender, SenderProof } from './sender-proof.ts'

export interface TokenRequestDeps {
  readonly authenticate: AuthenticateClient
  readonly grants: Grants
  readonly proveSender: ProveSender
  readonly issueTokens: IssueTokens
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
}

/** @throws {OAuthError} with a code of RFC 6749 §5.2 */
export type TokenRequest = (request: ProtocolRequest) => Promise<TokenResponse>

export function createTokenRequest(deps: TokenRequestDeps): TokenRequest {
  const { authenticate, grants, proveSender, issueTokens, audit, failpoint } = deps

  return (request) =>
    auditFailure(audit, 'token.refused', request, async (established) => {
      const grantType = request.parameters.get('grant_type')
      if (grantType === undefined) throw invalidRequest('grant_type is missing')
      const grant = grants.get(grantType)
      if (grant) established.grantType = grantType
      await grant?.precheck?.(request.parameters)
      const client = await authenticate(request)
      established.clientId = client.id
      if (!grant) throw new OAuthError('unsupported_grant_type', 'the grant type is not supported')
      const detail = grantProblem(grant, grantType, client)
      if (detail !== null)
        throw unauthorizedClient('the client is not registered for this grant type', { detail })

      const { parameters, ip, requestId } = request
      const proof = await proveSender(request, client)
      const confirmation = proof?.confirmation ?? null
      const authorization = await grant.authorize({ client, parameters, confirmation, ip, requestId })
      const { response, jti, sub } = await issueTokens(
        proof ? usedUpWith(authorization, proof) : authorization,
      )
      failpoint('token:issued')
      audit('token.issued', {
        actor: authorization.user ? `user:${sub}` : `client:${client.id}`,
        client_id: client.id,
        sub,
        ...(authorization.user ? { sid: authorization.user.clientSessionId } : {}),
        jti,
        grant_type: grantType,
        ...(response.scope === undefined ? {} : { scope: response.scope }),
        ip,
        request_id: requestId,
      })
      return response
    })
}

/** The proof is used up after signing and just before the grant commits, so that a failure to sign uses up neither. */
function usedUpWith(authorization: Authorization, proof: SenderProof): Authorization {
  return {
    ...authorization,
    async commit() {
      await proof.consume(authorization.user?.userId ?? null)
      return authorization.commit()
    },
  }
}

function grantProblem(grant: Grant, grantType: string, client: Client): FailureDetail | null {
  if (!client.grants.includes(grantType)) return 'grant_not_registered'
  return grant.confidentialOnly && client.authMethod === 'none' ? 'public_client' : null
}
