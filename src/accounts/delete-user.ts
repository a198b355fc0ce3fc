/**
 * Deletes a user: sessions end and their tokens are revoked, all rows of the user go, and the audit log loses the user's name and
 * addresses (docs/privacy.md). Must not know who asks for it.
 */
import { eraseAddresses, findAddresses } from '../audit/erase-addresses.ts'
import { USER_DELETED } from '../audit/erasure-check.ts'
import type { Audit } from '../audit/events.ts'
import type { AuditLog } from '../audit/log.ts'
import { unsalted } from '../audit/personal.ts'
import type { AuditStore } from '../store/contracts/audit.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import { type Db, StoreUnavailable } from '../store/db.ts'
import type { Clock } from '../system.ts'
import { type SignedOut, signOutEverywhere } from './sign-out.ts'

export interface DeleteUserDeps {
  readonly store: {
    readonly users: Pick<UserStore, 'find' | 'setDisabled' | 'delete'>
    readonly userSessions: UserSessionStore
    readonly clientSessions: ClientSessionStore
    readonly auditRows: Pick<AuditStore, 'addressesOf' | 'page' | 'eraseAddresses'>
    readonly db: Pick<Db, 'scrub'>
  }
  readonly clock: Clock
  readonly audit: Audit
  readonly auditLog: Pick<AuditLog, 'flush'>
}

export interface DeletedUser extends SignedOut {
  /** False if remains of the rows may be left in unused parts of the database's files. */
  readonly scrubbed: boolean
}

/** Each lost attempt means that a session began, or an administrator enabled the account. */
const ATTEMPTS = 10

/**
 * @param actor the `actor` of the audit events
 * @throws {StoreUnavailable} the user may be disabled and signed out by then, and can be deleted again
 */
export async function deleteUser(
  deps: DeleteUserDeps,
  { id }: Pick<User, 'id'>,
  actor: string,
): Promise<DeletedUser> {
  const { users, auditRows, db } = deps.store
  const addresses = await addressesOf(deps, id)
  const userSessions: string[] = []
  const clientSessions: string[] = []
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    // No session begins in a disabled account.
    await users.setDisabled(id, true)
    const signedOut = await signOutEverywhere(deps, id, 'account deleted', actor)
    userSessions.push(...signedOut.userSessions)
    clientSessions.push(...signedOut.clientSessions)
    await deps.auditLog.flush('all')
    const seqs = await findAddresses(auditRows, addresses)
    // The event is stored before the values that it allows to be missing are erased (audit/erasure-check.ts). It names no one.
    if (attempt === 1 || seqs.length > 0)
      deps.audit('user.changed', { actor, sub: id, action: USER_DELETED, erased: `${seqs.length}` })
    await deps.auditLog.flush('all')
    await eraseAddresses(auditRows, seqs)
    if (await users.delete(id)) {
      return { userSessions, clientSessions, scrubbed: (await db.scrub?.()) ?? true }
    }
    if (!(await users.find(id))) return { userSessions, clientSessions, scrubbed: true }
  }
  throw new StoreUnavailable(new Error('the account was used or changed during every attempt to delete it'))
}

/** From which the user has signed in, or someone has tried to. */
async function addressesOf(
  { store, clock, auditLog }: DeleteUserDeps,
  id: string,
): Promise<ReadonlySet<string>> {
  await auditLog.flush('all')
  const audited = await store.auditRows.addressesOf(id)
  const signedIn = await store.userSessions.list(id, clock.now())
  return new Set([...audited.map(unsalted), ...signedIn.map(({ ip }) => ip)])
}
