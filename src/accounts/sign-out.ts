/** Signs a person out everywhere: browsers, and sessions at clients. Must not know why, or who asks. */
import type { Audit } from '../audit/events.ts'
import type { SessionStore } from '../store/contracts/client-sessions.ts'
import type { SignInStore } from '../store/contracts/user-sessions.ts'
import type { Clock } from '../system.ts'

export interface SignedOut {
  /** Ids of the sign-ins that ended. */
  readonly signIns: readonly string[]
  /** Ids of the sessions that ended. */
  readonly sessions: readonly string[]
}

export interface SignOutDeps {
  readonly store: { readonly signIns: SignInStore; readonly sessions: SessionStore }
  readonly clock: Clock
  readonly audit: Audit
}

/** Also what outlives a sign-in, and what never had one. */
export async function signOutEverywhere(
  { store, clock, audit }: SignOutDeps,
  userId: string,
  reason: string,
  actor: string,
): Promise<SignedOut> {
  const signIns: string[] = []
  const sessions: string[] = []
  // First the browsers: from one that is signed in, new sessions could begin.
  for (const { id } of await store.signIns.list(userId, clock.now())) {
    const ended = await store.signIns.end(id, clock.now(), reason)
    if (!ended) continue
    audit('signin.ended', { actor, sub: userId, target: id, reason })
    signIns.push(id)
    sessions.push(...ended)
  }
  sessions.push(...(await store.sessions.revokeMatching({ userId }, clock.now(), reason)))
  for (const sid of sessions) audit('session.revoked', { actor, sub: userId, sid, reason })
  return { signIns, sessions }
}
