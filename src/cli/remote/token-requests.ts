/** Requests to the token endpoint for the tokens of a session, and what is kept of the responses. Must not know the terminal. */
import * as oidc from 'openid-client'
import { ADMIN_SCOPES } from '../../admin/built-ins.ts'
import { type Clock, type EpochSeconds, systemClock } from '../../system.ts'
import { asking, discover, type NetworkDeps } from './authorization-server.ts'
import { NotSignedIn, SignInFailed } from './errors.ts'
import type { SessionFile, StoredSession } from './session-file.ts'

/** @throws {NotSignedIn | SignInFailed | ServerUnreachable} */
export async function renew(
  session: StoredSession,
  file: Pick<SessionFile, 'delete'>,
  io: NetworkDeps,
): Promise<StoredSession> {
  const { issuer, refresh_token: refreshToken } = session
  const configuration = await discover(issuer, session, io)
  try {
    const tokens = await asking(issuer, () =>
      refreshToken === undefined
        ? machineTokens(configuration)
        : oidc.refreshTokenGrant(configuration, refreshToken),
    )
    return { ...session, ...stored(tokens, io.clock) }
  } catch (error) {
    const { cause } = error as Error
    const reason = cause instanceof oidc.ResponseBodyError ? cause.error : ''
    if (reason === 'invalid_grant') {
      // The refresh token is worth nothing any more.
      file.delete()
      throw new NotSignedIn(issuer, `your session at ${issuer} has ended`, error)
    }
    if (reason === 'invalid_scope' || reason === 'invalid_target') throw notAllowed(issuer, error)
    throw error
  }
}

/** Tokens of a client that acts for itself (RFC 6749 §4.4). The server leaves out the scopes that the client does not have. */
export const machineTokens = (configuration: oidc.Configuration) =>
  oidc.clientCredentialsGrant(configuration, { scope: Object.keys(ADMIN_SCOPES).join(' ') })

type Tokens = Awaited<ReturnType<typeof oidc.refreshTokenGrant>>

/** Without `expires_in`, the server refuses the token when it has expired, and a new one follows. */
const UNKNOWN_LIFETIME = 300

export function stored(
  tokens: Tokens,
  clock: Clock = systemClock,
): Pick<StoredSession, 'access_token' | 'expires_at' | 'refresh_token'> {
  const { access_token: accessToken, expires_in: lifetime = UNKNOWN_LIFETIME, refresh_token: next } = tokens
  const end: EpochSeconds = clock.now() + lifetime
  return {
    access_token: accessToken,
    expires_at: end,
    ...(next === undefined ? {} : { refresh_token: next }),
  }
}

/**
 * The scopes of the administration among those that were granted.
 * @throws {SignInFailed} if there are none: the commands could do nothing
 */
export function adminScopesOf({ scope = '' }: Tokens, server: string): string[] {
  const scopes = scope.split(' ').filter((one) => Object.hasOwn(ADMIN_SCOPES, one))
  if (scopes.length === 0) throw notAllowed(server)
  return scopes
}

const notAllowed = (server: string, cause?: unknown): SignInFailed =>
  new SignInFailed(`no role of the user, or no scope of the client, allows administering ${server}`, cause)
