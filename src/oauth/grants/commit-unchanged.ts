/**
 * After a grant has decided and before it writes, an administrator may change or disable the client or the user. Such a change
 * ends all existing sessions, but would miss one that is written a moment later. So the write succeeds only if the client and the
 * user are unchanged since they were read; otherwise it is retried while the decision stays the same. Must not know what is
 * written.
 */
import type { Owners } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { User, UserStore } from '../../store/contracts/users.ts'
import { invalidGrant } from '../errors.ts'
import type { Registry } from '../registry.ts'
import type { EarlierGrant, Rights, SessionRights } from '../session-rights.ts'

/** An attempt fails only if an administrator has changed the client or the user in the meantime. */
const MAX_ATTEMPTS = 5

export interface CommitUnchangedDeps {
  readonly rights: SessionRights
  readonly registry: Pick<Registry, 'client'>
  readonly users: Pick<UserStore, 'find'>
}

interface Decision extends EarlierGrant {
  readonly client: Client
  readonly user: User
  /** What the tokens that are already signed contain. */
  readonly granted: Rights
}

/**
 * Calls `write` with the current client and user until neither of them has changed in the meantime, and returns its result.
 * @throws {OAuthError} invalid_grant if a change leaves less than was granted
 */
export async function commitUnchanged(
  deps: CommitUnchangedDeps,
  decision: Decision,
  write: (owners: Owners) => Promise<boolean>,
): Promise<boolean> {
  let owners: { client: Client; user: User } = decision
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    if (await write(owners)) return true
    const client = await deps.registry.client(owners.client.id, { fresh: true })
    const user = await deps.users.find(owners.user.id)
    if (!client || !user) throw changed()
    if (client.revision === owners.client.revision && user.revision === owners.user.revision) return false
    // A new password ends the sessions of the user, and none may begin with the old one.
    if (user.passwordHash !== owners.user.passwordHash || !sameRights(deps, decision, client, user))
      throw changed()
    owners = { client, user }
  }
  throw changed()
}

function sameRights(
  { rights }: CommitUnchangedDeps,
  { granted, ...earlier }: Decision,
  client: Client,
  user: User,
): boolean {
  const now = rights.remaining(earlier, { client, user })
  const same = (a: readonly string[], b: readonly string[]) =>
    a.length === b.length && a.every((one) => b.includes(one))
  return same(now.scopes, granted.scopes) && same(now.roles, granted.roles)
}

const changed = () =>
  invalidGrant('the client or the account was changed in the meantime', { detail: 'changed_meanwhile' })
