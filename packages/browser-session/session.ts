/**
 * A signed-in browser's session: who the user is, and the tokens of the app. Also the contract for keeping sessions.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { randomId } from './encryption.ts'
import type { IdTokenClaims, TokenSet } from './tokens.ts'

/** Times are seconds since 1970. */
export interface Session {
  readonly id: string
  readonly signedInAt: number
  /**
   * Starts as the time of the sign-in, in seconds, and grows by one with each refresh. A session is refreshed less than
   * once a second on average, so a later session of the same browser has a higher generation than all earlier ones.
   */
  readonly generation: number
  readonly claims: IdTokenClaims
  readonly accessToken: string
  /** When the access token expires. */
  readonly expiresAt: number
  /** From this time on, the access token is refreshed before it is used. */
  readonly refreshAt: number
  readonly scope?: string | undefined
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
}

/**
 * Where sessions are kept. There are two ways: the session in a store and its id in a cookie (stored-sessions.ts), or
 * the whole session in cookies (cookie-sessions.ts).
 */
export interface SessionRepository {
  /** Returns the session of the request's cookies; undefined if there is none, or it is forged, expired or ended. */
  load(request: FastifyRequest, reply: FastifyReply): Promise<Session | undefined>
  /** Returns the newest known generation of a session; undefined if the session has ended. */
  latest(session: Session): Promise<Session | undefined>
  /** Stores a session after a sign-in, and gives the browser its cookies. */
  create(session: Session, request: FastifyRequest, reply: FastifyReply): Promise<void>
  /**
   * Stores `to` as the successor of `from` after a refresh. If another process was first, its successor is returned;
   * undefined if the session has ended meanwhile.
   */
  replace(from: Session, to: Session): Promise<Session | undefined>
  /** Gives the browser the cookies that it needs after `replace`. */
  writeCookies(session: Session, request: FastifyRequest, reply: FastifyReply): void
  /** Whether `writeCookies` sets cookies, so that a refresh is only possible before the response begins. */
  readonly writesCookiesOnRefresh: boolean
  end(session: Session): Promise<void>
  /** Removes the cookies that came with this request, and no newer ones. */
  clearCookies(request: FastifyRequest, reply: FastifyReply): void
}

/** The stored time of the last use may lag behind by this fraction of the idle time, so that few requests write it. */
export const LAST_USE_PRECISION = 1 / 20

/** Assumed lifetime of an access token, in seconds, when the issuer does not return it (RFC 6749 §5.1). */
const DEFAULT_LIFETIME = 300

/** All values are in seconds. */
export interface Lifetimes {
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly refreshAhead: number
}

/** Names the user of a session: a subject is unique at its issuer only (OpenID Connect Core §2). */
export function userOf({ claims }: Session): string {
  return JSON.stringify([claims.iss, claims.sub])
}

export function newSession(
  tokens: TokenSet & { claims: IdTokenClaims },
  now: number,
  lifetimes: Lifetimes,
): Session {
  return {
    id: randomId(),
    signedInAt: now,
    generation: Math.floor(now),
    claims: tokens.claims,
    refreshToken: tokens.refreshToken,
    idToken: tokens.idToken,
    ...accessTokenOf(tokens, now, lifetimes),
  }
}

/** The session after a refresh. What the response leaves out stays unchanged (RFC 6749 §6). */
export function refreshedSession(
  session: Session,
  tokens: TokenSet,
  now: number,
  lifetimes: Lifetimes,
): Session {
  return {
    ...session,
    generation: session.generation + 1,
    claims: tokens.claims ?? session.claims,
    refreshToken: tokens.refreshToken ?? session.refreshToken,
    idToken: tokens.idToken ?? session.idToken,
    ...accessTokenOf({ ...tokens, scope: tokens.scope ?? session.scope }, now, lifetimes),
  }
}

function accessTokenOf(
  { accessToken, expiresIn = DEFAULT_LIFETIME, scope }: TokenSet,
  now: number,
  lifetimes: Lifetimes,
) {
  // The margin is at most half of the lifetime: a token that lives for 20 s would otherwise be refreshed on each request.
  const ahead = Math.min(lifetimes.refreshAhead, expiresIn / 2)
  return { accessToken, scope, expiresAt: now + expiresIn, refreshAt: now + expiresIn - ahead }
}
