import { NewRole, Role, RoleChange } from '../../admin/roles.schema.ts'
import { Deleted, pageOf } from '../../admin/schema.ts'
import { ListQuery, ScopeQuery } from './query.ts'
import { adminRoute } from './route.ts'

export const roleRoutes = [
  adminRoute('GET /roles', {
    scope: 'admin:read',
    operationId: 'listRoles',
    summary: 'List roles, by name',
    query: ListQuery,
    response: pageOf(Role),
    handler: ({ roles }, { query }) => roles.list(query),
  }),
  adminRoute('POST /roles', {
    scope: 'admin:clients',
    operationId: 'createRole',
    summary: 'Create a role',
    query: ScopeQuery,
    body: NewRole,
    response: Role,
    status: 201,
    revised: true,
    location: ({ name }) => `/roles/${encodeURIComponent(name)}`,
    handler: ({ roles }, { query, body }) => roles.create(body, { allowUnowned: query.allow_unowned }),
  }),
  adminRoute('GET /roles/{name}', {
    scope: 'admin:read',
    operationId: 'getRole',
    summary: 'Get a role',
    response: Role,
    revised: true,
    handler: ({ roles }, { params }) => roles.find(params.name ?? ''),
  }),
  adminRoute('PATCH /roles/{name}', {
    scope: 'admin:clients',
    operationId: 'updateRole',
    summary: 'Change a role; the change takes effect with the next token of each user',
    query: ScopeQuery,
    body: RoleChange,
    response: Role,
    revised: true,
    handler: ({ roles }, { params, query, body, ifMatch }) =>
      roles.update(params.name ?? '', body, { ifMatch, allowUnowned: query.allow_unowned }),
  }),
  adminRoute('DELETE /roles/{name}', {
    scope: 'admin:clients',
    operationId: 'deleteRole',
    summary: 'Delete a role and remove it from all users',
    response: Deleted,
    revised: true,
    handler: ({ roles }, { params, ifMatch }) => roles.delete(params.name ?? '', { ifMatch }),
  }),
]
