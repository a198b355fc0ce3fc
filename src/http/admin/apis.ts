import { Api, ApiChange, NewApi } from '../../admin/apis.schema.ts'
import { Deleted, pageOf } from '../../admin/schema.ts'
import { ListQuery } from './query.ts'
import { adminRoute } from './route.ts'

export const apiRoutes = [
  adminRoute('GET /apis', {
    scope: 'admin:read',
    operationId: 'listApis',
    summary: 'List APIs, oldest first',
    query: ListQuery,
    response: pageOf(Api),
    handler: ({ apis }, { query }) => apis.list(query),
  }),
  adminRoute('POST /apis', {
    scope: 'admin:clients',
    operationId: 'createApi',
    summary: 'Register an API and its scopes',
    body: NewApi,
    response: Api,
    status: 201,
    revised: true,
    location: ({ identifier }) => `/apis/${encodeURIComponent(identifier)}`,
    handler: ({ apis }, { body }) => apis.create(body),
  }),
  adminRoute('GET /apis/{identifier}', {
    scope: 'admin:read',
    operationId: 'getApi',
    summary: 'Get an API',
    response: Api,
    revised: true,
    handler: ({ apis }, { params }) => apis.find(params.identifier ?? ''),
  }),
  adminRoute('PATCH /apis/{identifier}', {
    scope: 'admin:clients',
    operationId: 'updateApi',
    summary: 'Change an API: null restores a default',
    body: ApiChange,
    response: Api,
    revised: true,
    handler: ({ apis }, { params, body, ifMatch }) => apis.update(params.identifier ?? '', body, { ifMatch }),
  }),
  adminRoute('DELETE /apis/{identifier}', {
    scope: 'admin:clients',
    operationId: 'deleteApi',
    summary: 'Delete an API; its scopes then belong to no API',
    response: Deleted,
    revised: true,
    handler: ({ apis }, { params, ifMatch }) => apis.delete(params.identifier ?? '', { ifMatch }),
  }),
]
