/** The JSON of users: validates requests, types both implementations, and makes the OpenAPI document. */
import { type Static, Type } from 'typebox'
import { Count, Name, orNull, Seconds, shownOnce } from './schema.ts'

/** The rules of each value, and its longest length, are those of src/accounts/. */
const Text = Type.String({ maxLength: 1000 })
const Username = Type.String({ maxLength: 800, description: 'Case and compatibility forms do not matter.' })
const Password = Type.String({ maxLength: 4096, description: 'Never in a response.' })
const Roles = Type.Array(Name, { maxItems: 1000, description: 'Names of roles.' })

const PROFILE = {
  name: Type.Optional(orNull(Text)),
  given_name: Type.Optional(orNull(Text)),
  family_name: Type.Optional(orNull(Text)),
  locale: Type.Optional(orNull(Type.String({ maxLength: 1000, description: 'Such as de-CH (BCP 47).' }))),
  zoneinfo: Type.Optional(orNull(Type.String({ maxLength: 1000, description: 'Such as Europe/Berlin.' }))),
  email: Type.Optional(orNull(Text)),
  email_verified: Type.Optional(Type.Boolean()),
}

export const User = Type.Object(
  {
    id: Type.String({ description: 'The `sub` of tokens; it never changes.' }),
    username: Type.String(),
    name: orNull(Type.String()),
    given_name: orNull(Type.String()),
    family_name: orNull(Type.String()),
    locale: orNull(Type.String()),
    zoneinfo: orNull(Type.String()),
    roles: Type.Array(Type.String()),
    email: orNull(Type.String()),
    email_verified: Type.Boolean(),
    disabled: Type.Boolean(),
    created_at: Seconds,
    browsers: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'The number of browsers in which the user is signed in; not in lists.',
      }),
    ),
  },
  { $id: 'User', additionalProperties: false },
)
export type UserView = Static<typeof User>

export const NewUser = Type.Object(
  {
    username: Username,
    ...PROFILE,
    roles: Type.Optional(Roles),
    password: Type.Optional(Password),
  },
  { $id: 'NewUser', additionalProperties: false },
)
export type NewUserView = Static<typeof NewUser>

/** A merge patch (RFC 7396): null removes a value. */
export const UserChange = Type.Object(
  { username: Type.Optional(Username), ...PROFILE, roles: Type.Optional(Roles) },
  { $id: 'UserChange', additionalProperties: false },
)
export type UserChangeView = Static<typeof UserChange>

export const Invitation = Type.Object(
  { ...PROFILE, roles: Type.Optional(Roles) },
  { $id: 'Invitation', additionalProperties: false },
)
export type InvitationView = Static<typeof Invitation>

export const OneTimeLink = Type.Object(
  {
    username: Type.String(),
    link: shownOnce('Works once. Hand it over in a way that no one else can read.'),
    expires_at: Seconds,
  },
  { $id: 'OneTimeLink', additionalProperties: false },
)
export type OneTimeLinkView = Static<typeof OneTimeLink>

export const NewPassword = Type.Object(
  { password: Password },
  { $id: 'NewPassword', additionalProperties: false },
)

export const PasswordCheck = Type.Object(
  { username: Username, password: Password },
  { $id: 'PasswordCheck', additionalProperties: false },
)

export const CheckedUser = Type.Object(
  { username: Type.String({ description: 'As it is, or would be, stored.' }) },
  { $id: 'CheckedUser', additionalProperties: false },
)
export type CheckedUserView = Static<typeof CheckedUser>

export const RemovedFactors = Type.Object(
  {
    id: Type.String(),
    username: Type.String(),
    removed: Type.Object(
      { totp: Type.Boolean(), passkeys: Count, recovery_codes: Count },
      { additionalProperties: false },
    ),
  },
  { $id: 'RemovedFactors', additionalProperties: false },
)
export type RemovedFactorsView = Static<typeof RemovedFactors>
