import { Type } from 'typebox'
import { pageOf } from '../../admin/schema.ts'
import { RevokedSessions, Session } from '../../admin/sessions.schema.ts'
import { LIST_QUERY } from './query.ts'
import { adminRoute } from './route.ts'

const user = Type.Optional(Type.String({ maxLength: 800, description: 'Only sessions of this username.' }))
const client = Type.Optional(Type.String({ maxLength: 200, description: 'Only sessions of this client.' }))
const { limit, cursor } = LIST_QUERY

export const sessionRoutes = [
  adminRoute('GET /sessions', {
    scope: 'admin:read',
    operationId: 'listSessions',
    summary: 'List client sessions, newest first',
    query: Type.Object(
      {
        limit,
        cursor,
        user,
        client,
        id: Type.Optional(Type.String({ maxLength: 200, description: 'Only this session.' })),
      },
      { additionalProperties: false },
    ),
    // A user, client or session that does not exist.
    problems: [404],
    response: pageOf(Session),
    handler: ({ sessions }, { query }) => sessions.list(query),
  }),
  adminRoute('DELETE /sessions', {
    scope: 'admin:users',
    operationId: 'endSessions',
    summary: 'End all sessions of a user, who is signed out of all browsers, or of a client',
    query: Type.Object({ user, client }, { additionalProperties: false }),
    problems: [404],
    response: RevokedSessions,
    handler: ({ sessions }, { query }) => sessions.endAll(query),
  }),
  adminRoute('DELETE /sessions/{id}', {
    scope: 'admin:users',
    operationId: 'endSession',
    summary: 'End one session',
    response: RevokedSessions,
    handler: ({ sessions }, { params }) => sessions.end(params.id ?? ''),
  }),
]
