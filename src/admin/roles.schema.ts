/** The JSON of roles: validates requests, types both implementations, and makes the OpenAPI document. */
import { type Static, Type } from 'typebox'
import { Name, Scopes, Seconds } from './schema.ts'

export const Role = Type.Object(
  {
    name: Name,
    scopes: Scopes,
    require_second_factor: Type.Boolean({ description: 'Users with the role need a second factor.' }),
    created_at: Seconds,
  },
  { $id: 'Role', additionalProperties: false },
)
export type RoleView = Static<typeof Role>

export const NewRole = Type.Object(
  {
    name: Name,
    scopes: Scopes,
    require_second_factor: Type.Optional(Type.Boolean({ default: false })),
  },
  { $id: 'NewRole', additionalProperties: false },
)
export type NewRoleView = Static<typeof NewRole>

export const RoleChange = Type.Object(
  {
    scopes: Type.Optional(Scopes),
    require_second_factor: Type.Optional(Type.Boolean()),
  },
  { $id: 'RoleChange', additionalProperties: false },
)
export type RoleChangeView = Static<typeof RoleChange>
