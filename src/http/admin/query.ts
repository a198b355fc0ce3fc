/** Query parameters that several routes have. */
import { Type } from 'typebox'
import { DEFAULT_LIMIT, MAX_LIMIT } from '../../admin/page.ts'

export const LIST_QUERY = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_LIMIT,
      default: DEFAULT_LIMIT,
      description: 'At most this many items.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: 2000, description: '`next_cursor` of the previous part of the list.' }),
  ),
  search: Type.Optional(
    Type.String({ maxLength: 200, description: 'Only items whose name or id contains this text.' }),
  ),
}

export const ListQuery = Type.Object(LIST_QUERY, { additionalProperties: false })

const SCOPE_QUERY = {
  allow_unowned: Type.Optional(
    Type.Boolean({ default: false, description: 'Also accept scopes that no API has.' }),
  ),
}

export const ScopeQuery = Type.Object(SCOPE_QUERY, { additionalProperties: false })

const FORCE_QUERY = {
  force: Type.Optional(Type.Boolean({ default: false, description: 'Do it even if it locks somebody out.' })),
}

export const ForceQuery = Type.Object(FORCE_QUERY, { additionalProperties: false })

export const ScopeAndForceQuery = Type.Object(
  { ...SCOPE_QUERY, ...FORCE_QUERY },
  { additionalProperties: false },
)
