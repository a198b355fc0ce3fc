/** OIDC Core §5.3: who the person behind an access token is. Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Clock } from '../../system.ts'
import { ACCESS_TOKEN_TYPE, type AccessTokenClaims } from '../../tokens/access-token.ts'
import type { Living } from '../active-token.ts'
import { auditRefusal } from '../audit-failures.ts'
import { claimsOf, type PersonClaims } from '../claims.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'

export interface UserInfoDeps {
  readonly signer: Pick<Signer, 'verify'>
  readonly living: Living
  readonly clock: Clock
  readonly audit: Audit
  readonly issuer: string
}

/**
 * null if the request brings no access token at all (RFC 6750 §3.1).
 * @throws {OAuthError} invalid_request, invalid_token, insufficient_scope
 */
export type UserInfo = (request: ProtocolRequest) => Promise<PersonClaims | null>

/** RFC 6750 §2.1; the scheme in either case (RFC 9110 §11.1). */
const BEARER = /^bearer(?: +(.*))?$/i
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

export function createUserInfo({ signer, living, clock, audit, issuer }: UserInfoDeps): UserInfo {
  return (request) =>
    auditRefusal(audit, 'userinfo.refused', request, async (established) => {
      const token = presentedToken(request)
      if (token === undefined) return null
      const expected = { typ: ACCESS_TOKEN_TYPE, issuer, now: clock.now() }
      // For whatever API it is: it is a token of ours that the person's sign-in led to.
      const claims = (await signer.verify(token, expected)) as AccessTokenClaims | null
      const alive = claims && (await living.accessToken(claims))
      if (!claims || !alive) throw new OAuthError('invalid_token', 'the access token is not valid')
      established.clientId = alive.client.id
      const scopes = claims.scope?.split(' ') ?? []
      if (!alive.person || !scopes.includes('openid')) {
        throw new OAuthError('insufficient_scope', 'the access token was not issued with openid')
      }
      return claimsOf(alive.person.user, scopes, alive.person.session.claims)
    })
}

/** RFC 6750 §2: in the header or in the form, and not in both. */
function presentedToken({ authorization, parameters }: ProtocolRequest): string | undefined {
  const inForm = parameters.get('access_token')
  if (authorization === undefined) return inForm
  if (inForm !== undefined) throw invalidRequest('more than one way of presenting a token was used')
  const match = BEARER.exec(authorization)
  if (!match) return undefined
  const [, token = ''] = match
  if (!TOKEN.test(token)) throw invalidRequest('the Authorization header is malformed')
  return token
}
