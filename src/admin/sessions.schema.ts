/** The JSON of client sessions: validates requests, types both implementations, and makes the OpenAPI document. */
import { type Static, Type } from 'typebox'
import { oneOf, orNull, Seconds } from './schema.ts'

export const Session = Type.Object(
  {
    id: Type.String({ description: 'The `sid` of its tokens.' }),
    state: oneOf(['active', 'expired', 'revoked']),
    user_id: Type.String(),
    username: Type.String(),
    client_id: Type.String(),
    scope: Type.String(),
    audience: Type.String(),
    created_at: Seconds,
    last_used_at: Seconds,
    expires_at: Seconds,
    revoked_at: orNull(Seconds),
    revoked_for: orNull(Type.String()),
  },
  { $id: 'Session', additionalProperties: false },
)
export type SessionView = Static<typeof Session>

export const RevokedSessions = Type.Object(
  {
    revoked: Type.Array(Type.String(), { description: 'Ids of the sessions that this request revoked.' }),
  },
  { $id: 'RevokedSessions', additionalProperties: false },
)
export type RevokedSessionsView = Static<typeof RevokedSessions>
