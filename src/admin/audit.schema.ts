/** The JSON of the audit log. */
import { type Static, Type } from 'typebox'
import { AUDIT_EVENTS } from '../audit/events.ts'
import { Count, oneOf, orNull, Seconds } from './schema.ts'

const Text = Type.String({ maxLength: 500 })
const Time = Type.String({
  maxLength: 50,
  description:
    'A duration before now such as `1h`, a time such as `2026-01-31T12:00:00Z`, or seconds since 1970.',
})

export const AUDIT_FILTERS = {
  since: Type.Optional(Time),
  until: Type.Optional(Time),
  user: Type.Optional(
    Type.String({
      maxLength: 500,
      description: 'Only events about or by this user: username, or id of a deleted user.',
    }),
  ),
  client: Type.Optional(Type.String({ maxLength: 500, description: 'Only events about or by this client.' })),
  event: Type.Optional(oneOf<string>(AUDIT_EVENTS, 'The type of the events.')),
}
const Filters = Type.Object(AUDIT_FILTERS)
export type AuditFiltersView = Static<typeof Filters>

export const AuditEvent = Type.Object(
  {
    seq: Count,
    since: Type.Integer({ minimum: 0, description: 'When the first of the events of the row happened.' }),
    at: Seconds,
    event: Type.String(),
    count: Type.Integer({ minimum: 1, description: 'How many events the row stands for.' }),
    actor: orNull(Text),
    sub: orNull(Text),
    username: orNull(Text),
    client_id: orNull(Text),
    fields: Type.Record(Type.String(), Type.Unknown()),
    hash: Type.String(),
  },
  { $id: 'AuditEvent', additionalProperties: false },
)
export type AuditEventView = Static<typeof AuditEvent>

export const AuditVerdict = Type.Object(
  {
    intact: Type.Boolean(),
    rows: Count,
    head: orNull(Type.String({ description: '`<seq>:<hash>` of the last row.' })),
    pruned_to: Count,
    signed: orNull(Type.Boolean({ description: 'null: the store has no key ring yet.' })),
    findings: Type.Array(Type.String()),
  },
  { $id: 'AuditVerdict', additionalProperties: false },
)
export type AuditVerdictView = Static<typeof AuditVerdict>

export const AnchorQuery = Type.Object(
  {
    anchor: Type.Optional(
      Type.String({ maxLength: 100, description: 'An earlier end of the log, `<seq>:<hash>`.' }),
    ),
  },
  { additionalProperties: false },
)
