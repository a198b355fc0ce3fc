import { Type } from 'typebox'
import { Deleted, Name, pageOf } from '../../admin/schema.ts'
import {
  CheckedUser,
  Invitation,
  NewPassword,
  NewUser,
  OneTimeLink,
  PasswordCheck,
  RemovedFactors,
  User,
  UserChange,
} from '../../admin/users.schema.ts'
import { ForceQuery, LIST_QUERY } from './query.ts'
import { adminRoute } from './route.ts'

const USERS = 'admin:users'

const UserListQuery = Type.Object(
  {
    ...LIST_QUERY,
    role: Type.Optional(Name),
    disabled: Type.Optional(Type.Boolean({ description: 'Only disabled users, or only enabled ones.' })),
  },
  { additionalProperties: false },
)

export const userRoutes = [
  adminRoute('GET /users', {
    scope: 'admin:read',
    operationId: 'listUsers',
    summary: 'List users, oldest first',
    query: UserListQuery,
    response: pageOf(User),
    handler: ({ users }, { query }) => users.list(query),
  }),
  adminRoute('POST /users', {
    scope: USERS,
    operationId: 'createUser',
    summary: 'Create a user; one without a password needs an invitation',
    body: NewUser,
    response: User,
    status: 201,
    revised: true,
    location: ({ username }) => `/users/${encodeURIComponent(username)}`,
    handler: ({ users }, { body }) => users.create(body),
  }),
  adminRoute('POST /checks/user', {
    scope: USERS,
    operationId: 'checkUser',
    summary: 'Say whether a new user would be refused, and why; changes nothing',
    body: NewUser,
    changesNothing: true,
    response: CheckedUser,
    handler: ({ users }, { body }) => users.checkNew(body),
  }),
  adminRoute('POST /checks/password', {
    scope: USERS,
    operationId: 'checkPassword',
    summary: 'Say whether a new password of a user would be refused, and why; changes nothing',
    body: PasswordCheck,
    changesNothing: true,
    problems: [404],
    response: CheckedUser,
    handler: ({ users }, { body }) => users.checkPassword(body.username, body.password),
  }),
  adminRoute('GET /users/{username}', {
    scope: 'admin:read',
    operationId: 'getUser',
    summary: 'Get a user',
    response: User,
    revised: true,
    handler: ({ users }, { params }) => users.find(params.username ?? ''),
  }),
  adminRoute('PATCH /users/{username}', {
    scope: USERS,
    operationId: 'updateUser',
    summary:
      'Change a user; roles take effect with the next token, and sessions continue after a new username',
    query: ForceQuery,
    body: UserChange,
    response: User,
    revised: true,
    handler: ({ users }, { params, query, body, ifMatch }) =>
      users.update(params.username ?? '', body, { ifMatch, force: query.force }),
  }),
  adminRoute('DELETE /users/{username}', {
    scope: USERS,
    operationId: 'deleteUser',
    summary: 'Delete a user and everything stored about the user',
    query: ForceQuery,
    response: Deleted,
    revised: true,
    handler: ({ users }, { params, query, ifMatch }) =>
      users.delete(params.username ?? '', { ifMatch, force: query.force }),
  }),
  adminRoute('POST /users/{username}/disable', {
    scope: USERS,
    operationId: 'disableUser',
    summary: 'Disable a user, who is signed out everywhere',
    query: ForceQuery,
    response: User,
    revised: true,
    handler: ({ users }, { params, query, ifMatch }) =>
      users.disable(params.username ?? '', { ifMatch, force: query.force }),
  }),
  adminRoute('POST /users/{username}/enable', {
    scope: USERS,
    operationId: 'enableUser',
    summary: 'Enable a disabled user',
    response: User,
    revised: true,
    handler: ({ users }, { params, ifMatch }) => users.enable(params.username ?? '', { ifMatch }),
  }),
  adminRoute('POST /users/{username}/password', {
    scope: USERS,
    operationId: 'setPassword',
    summary: 'Set the password of a user, who is signed out everywhere',
    body: NewPassword,
    response: User,
    revised: true,
    handler: ({ users }, { params, body, ifMatch }) =>
      users.setPassword(params.username ?? '', body.password, { ifMatch }),
  }),
  adminRoute('POST /users/{username}/invite', {
    scope: USERS,
    operationId: 'inviteUser',
    summary: 'Make a link with which a user can set the first password; creates the user if there is none',
    body: Invitation,
    response: OneTimeLink,
    handler: ({ users }, { params, body }) => users.invite(params.username ?? '', body),
  }),
  adminRoute('POST /users/{username}/reset-link', {
    scope: USERS,
    operationId: 'createResetLink',
    summary: 'Make a link with which a user who forgot the password can set a new one',
    response: OneTimeLink,
    handler: ({ users }, { params }) => users.resetLink(params.username ?? ''),
  }),
  adminRoute('POST /users/{username}/reset-second-factor', {
    scope: USERS,
    operationId: 'resetSecondFactor',
    summary: 'Remove the authenticator app, the passkeys and the recovery codes of a user who lost them',
    conditional: true,
    response: RemovedFactors,
    handler: ({ users }, { params, ifMatch }) => users.resetSecondFactor(params.username ?? '', { ifMatch }),
  }),
]
