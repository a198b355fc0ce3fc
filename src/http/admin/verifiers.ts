import { pageOf } from '../../admin/schema.ts'
import { Expected, Forgotten, Verifier } from '../../admin/verifiers.schema.ts'
import { ListQuery } from './query.ts'
import { adminRoute } from './route.ts'

export const verifierRoutes = [
  adminRoute('GET /verifiers', {
    scope: 'admin:read',
    operationId: 'listVerifiers',
    summary: 'List verifiers, by name, and whether they have the next key',
    query: ListQuery,
    response: pageOf(Verifier),
    handler: ({ verifiers }, { query }) => verifiers.list(query),
  }),
  adminRoute('PUT /verifiers/{name}', {
    scope: 'admin:keys',
    operationId: 'expectVerifier',
    summary: 'Let rotations wait for verifiers of this name',
    response: Expected,
    handler: ({ verifiers }, { params }) => verifiers.expect(params.name ?? ''),
  }),
  adminRoute('DELETE /verifiers/{name}', {
    scope: 'admin:keys',
    operationId: 'forgetVerifier',
    summary: 'Forget the verifiers of this name; rotations no longer wait for them',
    response: Forgotten,
    handler: ({ verifiers }, { params }) => verifiers.forget(params.name ?? ''),
  }),
]
