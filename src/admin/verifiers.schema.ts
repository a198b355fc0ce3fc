/** The JSON of verifiers. */
import { type Static, Type } from 'typebox'
import { Name, orNull, Seconds } from './schema.ts'

export const Verifier = Type.Object(
  {
    name: Name,
    instance: orNull(Type.String({ description: 'The process; null for a name that was never seen.' })),
    expected: Type.Boolean({ description: 'Rotations wait for verifiers of this name.' }),
    seen_at: orNull(Seconds),
    behind: Type.Boolean({ description: 'The verifier has not fetched the next key yet.' }),
  },
  { $id: 'Verifier', additionalProperties: false },
)
export type VerifierView = Static<typeof Verifier>

export const Expected = Type.Object({ expected: Name }, { $id: 'Expected', additionalProperties: false })
export const Forgotten = Type.Object({ forgotten: Name }, { $id: 'Forgotten', additionalProperties: false })
