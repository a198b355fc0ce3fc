/** Values that are in one response and never again. Must not know any resource. */
import type { TSchema } from 'typebox'
import { SHOWN_ONCE } from '../../admin/schema.ts'

interface Schema {
  readonly [SHOWN_ONCE]?: true
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
}

/** The value without the members that its schema marks with `shownOnce`. */
export const withoutShownOnce = <T>(schema: TSchema, value: T): T => without(schema as Schema, value) as T

function without(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => without(schema.items ?? {}, item))
  if (value === null || typeof value !== 'object') return value
  const schemas = [schema, ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]
  const members = Object.entries(value).flatMap(([name, inner]) => {
    const known = schemas.map(({ properties }) => properties?.[name]).filter((one) => one !== undefined)
    if (known.some((one) => one[SHOWN_ONCE])) return []
    return [[name, known.reduce((left: unknown, one) => without(one, left), inner)] as const]
  })
  return Object.fromEntries(members)
}
