/** Users as plain values, and back: the names of the JSON are those of OpenID Connect. */
import { createHash } from 'node:crypto'
import type { DeletedUser } from '../accounts/delete-user.ts'
import { EMPTY_PROFILE } from '../accounts/profile.ts'
import type { SignedOut } from '../accounts/sign-out.ts'
import type { AccountChange } from '../accounts/users.ts'
import { type New, REVISIONS_PER_ROW } from '../store/contracts/update.ts'
import type { Profile, User } from '../store/contracts/users.ts'
import { count } from './count.ts'
import type { InvitationView, UserChangeView, UserView } from './users.schema.ts'

/** Far more than there are users with one name. */
const RANGES = 900_000_000

/**
 * The revision that administrators see. A username can belong to another user later, and then no revision of the first user may be one of
 * the second: what an administrator has decided about one person must not happen to another. So each user has a range of revisions.
 */
export function revisionOf({ id, revision }: Pick<User, 'id' | 'revision'>): number {
  const range = createHash('sha256').update(id).digest().readUInt32BE() % RANGES
  return range * REVISIONS_PER_ROW + revision
}

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
