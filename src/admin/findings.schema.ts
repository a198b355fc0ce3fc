/** The JSON of what a serving process finds when it checks itself. */
import { type Static, Type } from 'typebox'
import { oneOf, Seconds } from './schema.ts'

/** The checks of a serving process, in their order. */
const CHECKS = [
  'clock',
  'master key',
  'keys folder',
  'data folder',
  'database file',
  'free space',
  'store clock',
  'durability',
  'ring',
  'nodes',
  'node settings',
  'signing keys',
  'master key rotation',
  'schedule',
] as const

export type CheckName = (typeof CHECKS)[number]

const Finding = Type.Object(
  {
    check: oneOf(CHECKS),
    ok: Type.Boolean(),
    message: Type.String({ description: 'What was found and, if it is a problem, what to do.' }),
  },
  { $id: 'Finding', additionalProperties: false },
)

export const Findings = Type.Object(
  {
    items: Type.Array(Finding),
    next_cursor: Type.Null({ description: 'There is only one part.' }),
    hostname: Type.String({ description: 'The machine of the process that answers.' }),
    checked_at: Seconds,
  },
  { $id: 'Findings', additionalProperties: false },
)
export type FindingsView = Static<typeof Findings>
