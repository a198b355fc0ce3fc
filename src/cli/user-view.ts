/** Prints a user, and what a change has ended. */
import type { SignedOut } from '../accounts/sign-out.ts'
import type { New } from '../store/contracts/update.ts'
import type { User } from '../store/contracts/users.ts'
import type { Context, Json } from './context.ts'
import { count, record, time } from './output.ts'

export function describeUser(user: New<User>) {
  return {
    id: user.id,
    username: user.username,
    name: user.name,
    given_name: user.givenName,
    family_name: user.familyName,
    locale: user.locale,
    zoneinfo: user.zoneinfo,
    roles: user.roles,
    email: user.email,
    email_verified: user.emailVerified,
    disabled: user.disabled,
    created_at: user.createdAt,
  }
}

/** @param extra further members of the output */
export function printUser(
  context: Context,
  options: Json,
  user: New<User>,
  extra: Readonly<Record<string, unknown>> = {},
): void {
  const value = { ...describeUser(user), ...extra }
  context.print(options, value, record({ ...value, created_at: time(user.createdAt) }))
}

export function noteSignedOut(context: Context, { userSessions, clientSessions }: SignedOut): void {
  if (userSessions.length > 0) context.note(`${count(userSessions.length, 'browser')} signed out`)
  if (clientSessions.length > 0) context.note(`${count(clientSessions.length, 'session')} ended`)
}
