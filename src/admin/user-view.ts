/** Users as plain values, and back: the names of the JSON are those of OpenID Connect. */
import type { DeletedUser } from '../accounts/delete-user.ts'
import { EMPTY_PROFILE } from '../accounts/profile.ts'
import type { SignedOut } from '../accounts/sign-out.ts'
import type { AccountChange } from '../accounts/users.ts'
import type { New } from '../store/contracts/update.ts'
import type { Profile, User } from '../store/contracts/users.ts'
import { count } from './count.ts'
import type { InvitationView, UserChangeView, UserView } from './users.schema.ts'

export const viewOf = (user: New<User>): UserView => ({
  id: user.id,
  username: user.username,
  name: user.name,
  given_name: user.givenName,
  family_name: user.familyName,
  locale: user.locale,
  zoneinfo: user.zoneinfo,
  roles: [...user.roles],
  email: user.email,
  email_verified: user.emailVerified,
  disabled: user.disabled,
  created_at: user.createdAt,
})

const MEMBERS = {
  name: 'name',
  given_name: 'givenName',
  family_name: 'familyName',
  locale: 'locale',
  zoneinfo: 'zoneinfo',
  email: 'email',
  email_verified: 'emailVerified',
} as const satisfies Record<string, keyof Profile>

/** The members that the view has. */
function profileOf(view: InvitationView): Partial<Profile> {
  const given = Object.entries(MEMBERS).filter(([name]) => view[name as keyof InvitationView] !== undefined)
  return Object.fromEntries(given.map(([name, member]) => [member, view[name as keyof InvitationView]]))
}

export const changeOf = ({ username, roles, ...profile }: UserChangeView): AccountChange => ({
  ...profileOf(profile),
  ...(username === undefined ? {} : { username }),
  ...(roles === undefined ? {} : { roles }),
})

export const accountOf = (username: string, { roles = [], ...profile }: InvitationView) => ({
  username,
  ...EMPTY_PROFILE,
  ...profileOf(profile),
  roles,
})

export function signedOutNotes({ userSessions, clientSessions }: SignedOut): string[] {
  return [
    ...(userSessions.length > 0 ? [`${count(userSessions.length, 'browser')} signed out`] : []),
    ...(clientSessions.length > 0 ? [`${count(clientSessions.length, 'session')} ended`] : []),
  ]
}

export const deletedNotes = (deleted: DeletedUser): string[] => [
  ...signedOutNotes(deleted),
  ...(deleted.scrubbed
    ? []
    : ['the database file may still contain remains of deleted rows: see docs/privacy.md']),
]
