/** A signed-in browser: who it is and the tokens it may use. The contract of where sessions are kept. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { randomId } from './encryption.ts'
import type { TokenSet } from './openid-client.ts'

export interface Claims {
  readonly iss: string
  readonly sub: string
  readonly [claim: string]: unknown
}

/** Times are seconds since 1970. */
export interface Session {
  readonly id: string
  readonly signedInAt: number
  /**
   * Grows by one with each refresh, from the second of the sign-in on. No session is refreshed once a second, so a later
   * session of a browser has a higher one than all before.
   */
  readonly generation: number
  readonly claims: Claims
  readonly accessToken: string
  readonly expiresAt: number
  readonly renewAt: number
  readonly scope?: string | undefined
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
}

/** Keeps sessions. Two ways: the session in a store and its id in a cookie, or all of it in cookies. */
export interface SessionKeeper {
  /** What the request's cookies stand for; undefined for none, a forged one or one that is over. */
  load(request: FastifyRequest, reply: FastifyReply): Promise<Session | undefined>
  /** The newest known of this session; undefined if it was ended. */
  latest(session: Session): Promise<Session | undefined>
  /** After a sign-in. */
  begin(session: Session, request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** After a refresh; who comes second gets what the first has kept. Undefined if the session was ended meanwhile. */
  advance(from: Session, to: Session): Promise<Session | undefined>
  /** Gives the browser what it must hold after `advance`. */
  hand(session: Session, request: FastifyRequest, reply: FastifyReply): void
  /** Whether `hand` needs an answer that has not begun. */
  readonly handsCookies: boolean
  end(session: Session): Promise<void>
  /** Takes from the browser what this request came with, and nothing newer. */
  clear(request: FastifyRequest, reply: FastifyReply): void
}

/** Without `expires_in` (RFC 6749 §5.1: only recommended), nobody knows; soon enough. */
const USUAL_LIFETIME = 300

export interface Lifetimes {
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly refreshAhead: number
}

export function beginSession(
  tokens: TokenSet & { claims: Claims },
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
    ...access(tokens, now, lifetimes),
  }
}

/** What a refresh did not give again stays as it is (RFC 6749 §6). */
export function advanceSession(
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
    ...access({ ...tokens, scope: tokens.scope ?? session.scope }, now, lifetimes),
  }
}

function access(
  { accessToken, expiresIn = USUAL_LIFETIME, scope }: TokenSet,
  now: number,
  lifetimes: Lifetimes,
) {
  // A token that lives for 20 s would be renewed at each request if 30 s ahead were taken at its word.
  const ahead = Math.min(lifetimes.refreshAhead, expiresIn / 2)
  return { accessToken, scope, expiresAt: now + expiresIn, renewAt: now + expiresIn - ahead }
}
