import type { FailureDetail } from '../../audit/failure-details.ts'
import { isSameResource } from '../../resource-uri.ts'
import type { ClientSession } from '../../store/contracts/client-sessions.ts'
import type { User } from '../../store/contracts/users.ts'
import type { EpochSeconds, Seconds } from '../../system.ts'
import { proves } from '../../tokens/confirmation.ts'
import type { RefreshTokenParts } from '../../tokens/refresh-token.ts'
import { rotatesRefreshTokens } from '../client-registration/fapi2.ts'
import { invalidGrant, invalidRequest, invalidScope, invalidTarget } from '../errors.ts'
import { accessTokenTtl } from '../lifetimes.ts'
import { parseResource } from '../resource.ts'
import { parseScope } from '../scope.ts'
import { idTokenClaimsOf } from '../user-claims.ts'
import type { Grant, GrantDeps, GrantRequest } from './grant.ts'

type Deps = Pick<
  GrantDeps,
  'rights' | 'refreshTokens' | 'clientSessions' | 'clock' | 'audit' | 'failpoint' | 'config'
>

/**
 * RFC 6749 §6, with rotation (RFC 9700 §4.14.2). Each refresh creates the next generation in one compare-and-swap. For a short
 * fixed time the previous generation gets the *same* successor, so that a lost response, a crash or two tabs do no harm, and
 * the chain never forks. An older generation is a replay and revokes the session. The tokens of a client whose profile forbids rotation
 * stay as they are (FAPI 2.0 §5.3.2.1-9).
 */
export function refreshToken(deps: Deps): Grant {
  const { refreshTokens, clientSessions, clock, failpoint } = deps

  return {
    async precheck(parameters) {
      const token = parameters.get('refresh_token')
      if (token !== undefined && !(await refreshTokens.read(token))) throw refused('unknown_token')
    },

    async authorize(request) {
      const token = request.parameters.get('refresh_token')
      if (token === undefined) throw invalidRequest('refresh_token is missing')
      const parts = await refreshTokens.read(token)
      if (!parts) throw refused('unknown_token')

      const found = await clientSessions.findWithUser(parts.clientSessionId)
      if (!found) throw refused('refresh_unknown_session')
      const { session, user } = found
      // Checked first, so that a client with another client's token cannot revoke its session.
      if (session.clientId !== request.client.id) throw refused('other_client')
      const isProven = proves(request.confirmation, session.confirmation)
      // Also checked first: without what the token is bound to, a thief must not be able to end the session.
      if (!isProven && parts.generation >= session.boundFrom) throw refused('sender_mismatch')
      await refuseReplay(session, parts, request)
      // This token is not bound, but its successor is.
      if (!isProven) throw refused('sender_mismatch')
      if (user.disabled) throw refused('user_disabled')
      const granted = narrow(deps, request, session, user)
      failpoint('refresh:verified')

      const idleExpiresAt =
        parts.generation === session.generation
          ? Math.min(session.expiresAt, clock.now() + deps.config.refreshIdleTtl)
          : session.idleExpiresAt
      return {
        client: request.client,
        user: {
          userId: user.id,
          roles: granted.roles,
          authTime: session.authTime,
          amr: session.amr,
          clientSessionId: session.id,
          status: session.status,
          idToken: { nonce: null, claims: idTokenClaimsOf(user, request.client, granted.scopes) },
        },
        audience: granted.audience,
        scopes: granted.scopes,
        accessTokenTtl: accessTokenTtl(request.client, granted.apiTtl, deps.config.accessTokenTtl),
        notAfter: idleExpiresAt,
        confirmation: request.confirmation,
        async commit() {
          const advanced = rotatesRefreshTokens(request.client) ? advance : keep
          const generation = await advanced(session, parts, idleExpiresAt, request)
          failpoint('refresh:rotated')
          return { clientSessionId: session.id, generation }
        },
      }
    },
  }

  /** Returns the next generation, which this request creates, or which the request that it retries has created. */
  async function advance(
    session: ClientSession,
    { generation }: RefreshTokenParts,
    idleExpiresAt: EpochSeconds,
    request: GrantRequest,
  ): Promise<number> {
    // RFC 9449 §5: the refresh token of a public client is bound as soon as the client proves a key.
    const binds = request.client.authMethod === 'none' && session.confirmation === null
    const bind = binds ? request.confirmation : null
    if (generation === session.generation) {
      if (await clientSessions.rotate(session.id, generation, clock.now(), idleExpiresAt, bind))
        return generation + 1
      const current = await clientSessions.find(session.id)
      if (!current) throw refused('refresh_unknown_session')
      await refuseReplay(current, { clientSessionId: session.id, generation }, request)
      if (!proves(request.confirmation, current.confirmation)) throw refused('sender_mismatch')
    }
    return generation + 1
  }

  /** Extends the session, and returns the generation that it has. */
  async function keep(
    session: ClientSession,
    parts: RefreshTokenParts,
    idleExpiresAt: EpochSeconds,
    request: GrantRequest,
  ): Promise<number> {
    if (parts.generation !== session.generation) return session.generation
    if (await clientSessions.extend(session.id, parts.generation, idleExpiresAt)) return session.generation
    const current = await clientSessions.find(session.id)
    if (!current) throw refused('refresh_unknown_session')
    await refuseReplay(current, parts, request)
    return current.generation
  }

  /** @throws {OAuthError} invalid_grant unless the token is the current one, or its predecessor within the grace period */
  async function refuseReplay(
    session: ClientSession,
    parts: RefreshTokenParts,
    request: GrantRequest,
  ): Promise<void> {
    const now = clock.now()
    switch (evaluateRefresh(session, parts.generation, now, deps.config.refreshGrace)) {
      case 'current':
      case 'retry':
        return
      case 'expired':
        // Stored, so that the session stays expired if the clock is set back.
        await clientSessions.revoke(session.id, now, EXPIRED)
        throw refused('refresh_expired')
      case 'revoked':
        throw refused(session.revokedReason === EXPIRED ? 'refresh_expired' : 'refresh_revoked')
      case 'unknown':
        throw refused('refresh_ahead')
      case 'replay':
        // The tokens rotated before the client had its profile. The sender of an old one has authenticated as the client.
        if (!rotatesRefreshTokens(request.client)) throw refused('refresh_replayed')
        // RFC 9700 §4.14.2: the thief and the owner cannot be distinguished, so the session is revoked for both.
        if (await clientSessions.revoke(session.id, now, 'refresh token reuse')) {
          deps.audit('token.reuse_detected', {
            actor: `client:${request.client.id}`,
            client_id: request.client.id,
            sub: session.userId,
            sid: session.id,
            ip: request.ip,
            request_id: request.requestId,
          })
        }
        throw refused('refresh_replayed')
    }
  }
}

/** The `revokedReason` of an expired session. */
const EXPIRED = 'expired'

/** One message for all reasons, so that the holder of a stolen token learns nothing about the session. */
const refused = (detail: FailureDetail) => invalidGrant('the refresh token is not valid', { detail })

type RefreshEvaluation = 'current' | 'retry' | 'replay' | 'expired' | 'revoked' | 'unknown'

/** Evaluates a genuine refresh token of this session. Pure. */
function evaluateRefresh(
  session: ClientSession,
  generation: number,
  now: EpochSeconds,
  grace: Seconds,
): RefreshEvaluation {
  if (session.revokedAt !== null) return 'revoked'
  if (now >= session.expiresAt || now >= session.idleExpiresAt) return 'expired'
  if (generation === session.generation) return 'current'
  // The database was restored from an older backup, which is not a replay.
  if (generation > session.generation) return 'unknown'
  // The absolute value, so that a clock that was set back does not keep the window open.
  const inWindow = Math.abs(now - session.rotatedAt) <= grace
  return generation === session.generation - 1 && inWindow ? 'retry' : 'replay'
}

/** Narrows scope and resource (RFC 6749 §6; RFC 8707 §2.2) to what the session may have now. */
function narrow({ rights }: Deps, { client, parameters }: GrantRequest, session: ClientSession, user: User) {
  const resource = parseResource(parameters.all('resource'))
  if (resource !== undefined && !isSameResource(resource, session.audience)) {
    throw invalidTarget('the resource was not granted to this session')
  }
  const requested = parseScope(parameters.get('scope'))
  if (requested?.some((scope) => !session.scopes.includes(scope))) {
    throw invalidScope('scope exceeds what was granted to this session')
  }
  return rights.remaining({ ...session, grantedAt: session.createdAt }, { client, user }, requested)
}
