import type { FailureDetail } from '../../audit/failure-details.ts'
import { isSameResource } from '../../resource-uri.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { AuthorizationCode } from '../../store/contracts/codes.ts'
import type { EpochSeconds } from '../../system.ts'
import { hashCode } from '../authorize/hash-code.ts'
import { invalidGrant, invalidRequest, invalidTarget } from '../errors.ts'
import { AUTHORIZATION_CODE_TTL, accessTokenTtl, MAX_CODE_VERIFIER_ATTEMPTS } from '../lifetimes.ts'
import { isCodeVerifier, matchesChallenge, mayOmitPkce } from '../pkce.ts'
import { matchesRedirectUri } from '../redirect-uri.ts'
import { parseResource } from '../resource.ts'
import { clientSessionEnd, isRefreshable, newClientSession } from '../session.ts'
import { idTokenClaimsOf } from '../user-claims.ts'
import { commitUnchanged } from './commit-unchanged.ts'
import type { Grant, GrantDeps, GrantRequest } from './grant.ts'

type Deps = Pick<
  GrantDeps,
  | 'rights'
  | 'registry'
  | 'codes'
  | 'clientSessions'
  | 'users'
  | 'statusIndexAllocator'
  | 'clock'
  | 'audit'
  | 'config'
>

/**
 * RFC 6749 §4.1.3 with RFC 7636 §4.5. The code is found, verified and consumed, in this order, so that a stranger who saw a code
 * cannot consume it. It is consumed in the batch that creates the session.
 */
export function authorizationCode(deps: Deps): Grant {
  const { rights, codes, clientSessions, statusIndexAllocator, clock, audit, config } = deps

  return {
    async authorize(request) {
      const { client, parameters, confirmation } = request
      const text = parameters.get('code')
      if (text === undefined) throw invalidRequest('code is missing')
      const hash = hashCode(text)
      const found = await codes.findWithUser(hash)
      if (!found || found.code.clientId !== client.id) {
        throw invalidGrant('the code is not valid', { detail: found ? 'other_client' : 'unknown_code' })
      }
      const { code, user } = found
      // Checked first, so that a thief without the key can neither use up attempts nor end the session.
      if (code.dpopJkt !== null && code.dpopJkt !== confirmation?.jkt)
        throw invalidGrant('the code is bound to a key that the request does not prove', {
          detail: 'sender_mismatch',
        })
      checkRedirectUri(code, parameters.get('redirect_uri'), client)
      await checkVerifier(code, hash, parameters.get('code_verifier'), client)
      if (code.usedAt !== null) return refuseReplay(code, request)
      if (code.revokedAt !== null) throw invalidGrant('the code was revoked', { detail: 'code_revoked' })
      if (clock.now() >= code.expiresAt)
        throw invalidGrant('the code has expired', { detail: 'code_expired' })
      if (code.pkceFailures >= MAX_CODE_VERIFIER_ATTEMPTS) {
        throw invalidGrant('too many wrong code verifiers were sent for the code', { detail: 'code_guessed' })
      }
      if (user.disabled) throw invalidGrant('the account is disabled', { detail: 'user_disabled' })
      // RFC 8707 §2.2: the resource may be repeated here, but not changed.
      const resource = parseResource(parameters.all('resource'))
      if (resource !== undefined && !isSameResource(resource, code.audience)) {
        throw invalidTarget('the resource is not the one that was authorized')
      }

      const earlier = { ...code, grantedAt: code.expiresAt - AUTHORIZATION_CODE_TTL }
      const granted = rights.remaining(earlier, { client, user })

      const now = clock.now()
      const ttl = accessTokenTtl(client, granted.apiTtl, config.accessTokenTtl)
      const expiresAt = clientSessionEnd(client, now, ttl, config)
      const session = newClientSession(
        {
          id: code.clientSessionId,
          client,
          userId: user.id,
          scopes: code.scopes,
          audience: code.audience,
          now,
          authTime: code.authTime,
          amr: code.amr,
          expiresAt,
          status: await statusIndexAllocator.forSession(expiresAt),
          userSessionId: code.userSessionId,
          userinfoClaims: code.requestedClaims.userinfo,
          confirmation,
        },
        config,
      )
      return {
        client,
        user: {
          userId: user.id,
          roles: granted.roles,
          authTime: code.authTime,
          amr: code.amr,
          clientSessionId: session.id,
          status: session.status,
          idToken: {
            nonce: code.nonce,
            claims: idTokenClaimsOf(user, client, granted.scopes, code.requestedClaims.idToken),
          },
        },
        audience: granted.audience,
        scopes: granted.scopes,
        accessTokenTtl: ttl,
        notAfter: session.idleExpiresAt,
        confirmation,
        async commit() {
          const redeemed = await commitUnchanged(deps, { ...earlier, client, user, granted }, (owners) =>
            codes.redeem(hash, session, clock.now(), MAX_CODE_VERIFIER_ATTEMPTS, owners),
          )
          if (redeemed) {
            return isRefreshable(client) ? { clientSessionId: session.id, generation: 1 } : null
          }
          const current = await codes.find(hash)
          if (current && current.usedAt !== null) return refuseReplay(current, request)
          const detail = current ? redeemProblem(current, clock.now()) : 'changed_meanwhile'
          throw invalidGrant('the user has signed out, or the code has expired', { detail })
        },
      }
    },
  }

  async function checkVerifier(
    code: AuthorizationCode,
    hash: string,
    verifier: string | undefined,
    client: Client,
  ) {
    if (code.codeChallenge === null) {
      // RFC 9700 §4.8.2: an attacker may have removed the code challenge from the authorization request.
      if (verifier !== undefined)
        throw invalidRequest('code_verifier for a code that was requested without PKCE')
      // The registration of the client may have changed since the request.
      if (!mayOmitPkce(client))
        throw invalidGrant('the code was requested without PKCE, which the client must use', {
          detail: 'pkce_missing',
        })
      return
    }
    if (verifier === undefined) throw invalidGrant('code_verifier is missing', { detail: 'pkce_missing' })
    if (isCodeVerifier(verifier) && matchesChallenge(verifier, code.codeChallenge)) return
    if (code.usedAt === null && code.pkceFailures < MAX_CODE_VERIFIER_ATTEMPTS)
      await codes.countPkceFailure(hash)
    throw invalidGrant('code_verifier is wrong', { detail: 'pkce_mismatch' })
  }

  /** RFC 6749 §4.1.2: the thief and the owner cannot be distinguished, so the tokens issued for the code are revoked. */
  async function refuseReplay(
    code: AuthorizationCode,
    { client, ip, requestId }: GrantRequest,
  ): Promise<never> {
    if (await clientSessions.revoke(code.clientSessionId, clock.now(), 'authorization code reuse')) {
      audit('code.reuse_detected', {
        actor: `client:${client.id}`,
        client_id: client.id,
        sub: code.userId,
        sid: code.clientSessionId,
        ip,
        request_id: requestId,
      })
    }
    throw invalidGrant('the code has already been used', { detail: 'code_replayed' })
  }
}

/**
 * RFC 6749 §4.1.3: the redirect URI must be identical to that of the authorization request, and still be registered. OAuth 2.1
 * §10.2 allows clients to omit it, which is safe if PKCE binds the code to the client.
 */
function checkRedirectUri(code: AuthorizationCode, sent: string | undefined, client: Client): void {
  if (!matchesRedirectUri(client.redirectUris, code.redirectUri)) {
    throw invalidGrant('the redirect URI of the authorization request is no longer registered', {
      detail: 'redirect_uri_mismatch',
    })
  }
  if (sent === undefined) {
    if (code.redirectUriSent && code.codeChallenge === null) {
      throw invalidGrant('redirect_uri is missing', { detail: 'redirect_uri_mismatch' })
    }
  } else if (!code.redirectUriSent || sent !== code.redirectUri) {
    throw invalidGrant('redirect_uri differs from that of the authorization request', {
      detail: 'redirect_uri_mismatch',
    })
  }
}

/** Why an unused code could not be redeemed, although it was valid when it was checked. */
function redeemProblem(code: AuthorizationCode, now: EpochSeconds): FailureDetail {
  if (code.revokedAt !== null) return 'code_revoked'
  if (now >= code.expiresAt) return 'code_expired'
  return code.pkceFailures >= MAX_CODE_VERIFIER_ATTEMPTS ? 'code_guessed' : 'signed_out'
}
