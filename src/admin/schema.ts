/** Parts of the schemas of all aggregates. Schemas are loaded only with the HTTP API; other code imports their types. */
import { type TSchema, Type } from 'typebox'

export const Seconds = Type.Integer({ description: 'Seconds since 1970-01-01T00:00:00Z.', minimum: 0 })

/** A number of things, or a version. */
export const Count = Type.Integer({ minimum: 0 })

/** The name of a role, a verifier or a user, or the id of a client. */
export const Name = Type.String({ minLength: 1, maxLength: 200 })

export const Scope = Type.String({ minLength: 1, maxLength: 200 })

export const Scopes = Type.Array(Scope, { maxItems: 1000, description: 'Names of scopes.' })

export const Deleted = Type.Object(
  { deleted: Type.String() },
  { $id: 'Deleted', additionalProperties: false },
)

/** Part of a list of these items. */
export const pageOf = <T extends TSchema>(item: T) =>
  Type.Object(
    { items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) },
    { additionalProperties: false },
  )

export const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const oneOf = <T extends string>(values: readonly T[], description?: string) =>
  Type.Unsafe<T>({ type: 'string', enum: [...values], ...(description === undefined ? {} : { description }) })

/** Marks a member that is in one response and never again. */
export const SHOWN_ONCE = 'x-keyturn-shown-once'

/** A secret: the response to the request that makes it contains it, and no other does, not even to a repetition of that request. */
export const shownOnce = (description: string) =>
  Type.Optional(
    Type.String({ description: `${description} No other response contains it.`, [SHOWN_ONCE]: true }),
  )
