/** Signs a user out everywhere: ends the user sessions and revokes the client sessions. */
import type { Audit } from '../audit/events.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { Clock } from '../system.ts'

export interface SignedOut {
  /** Ids of the user sessions that were ended. */
  readonly userSessions: readonly string[]
  /** Ids of the client sessions that were revoked. */
  readonly clientSessions: readonly string[]
}

export interface SignOutDeps {
  readonly store: { readonly userSessions: UserSessionStore; readonly clientSessions: ClientSessionStore }
  readonly clock: Clock
  readonly audit: Audit
}

/** Includes offline sessions, and sessions without a user session (the password grant). */
export async function signOutEverywhere(
  { store, clock, audit }: SignOutDeps,
  userId: string,
  reason: string,
  actor: string,
): Promise<SignedOut> {
  const userSessions: string[] = []
  const clientSessions: string[] = []
  // User sessions end first, because they could start new client sessions.
  for (const { id } of await store.userSessions.list(userId, clock.now())) {
    const revoked = await store.userSessions.end(id, clock.now(), reason)
    if (!revoked) continue
    audit('user_session.ended', { actor, sub: userId, target: id, reason })
    userSessions.push(id)
    clientSessions.push(...revoked)
  }
  clientSessions.push(...(await store.clientSessions.revokeMatching({ userId }, clock.now(), reason)))
  for (const sid of clientSessions) audit('client_session.revoked', { actor, sub: userId, sid, reason })
  return { userSessions, clientSessions }
}
