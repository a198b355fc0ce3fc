/** Parts of lists, and the cursors between them. Must not know what the items are. */

import { invalidValue } from './errors.ts'
import type { Page, PageQuery } from './verbs.ts'

export const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 1000

/** A cursor is opaque to its user: it contains the key of the last item of the part. */
export const cursorOf = (key: string): string => Buffer.from(key).toString('base64url')

/** @throws {AdminError} */
export function keyOf(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString()
  if (key === '' || cursorOf(key) !== cursor)
    throw invalidValue('cursor', 'the cursor does not belong to this list')
  return key
}

/**
 * One part of a list that is in memory as a whole, in its order. An item that was deleted meanwhile ends the list: its place is
 * unknown.
 * @param key the unique key of an item
 * @param texts what a search looks at
 */
export function pageOf<T>(
  all: readonly T[],
  { limit = DEFAULT_LIMIT, cursor, search }: PageQuery,
  key: (item: T) => string,
  texts: (item: T) => readonly (string | null)[],
): Page<T> {
  const wanted = search?.toLowerCase()
  const after = cursor === undefined ? -1 : all.findIndex((item) => key(item) === keyOf(cursor))
  if (cursor !== undefined && after < 0) return { items: [], next_cursor: null }
  const found = all
    .slice(after + 1)
    .filter(
      (item) => wanted === undefined || texts(item).some((text) => text?.toLowerCase().includes(wanted)),
    )
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next_cursor: found.length > limit && last !== undefined ? cursorOf(key(last)) : null }
}

/** All items of a list, part by part. */
export async function allOf<T>(list: (query: PageQuery) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  let cursor: string | undefined
  do {
    const page = await list({ limit: MAX_LIMIT, ...(cursor === undefined ? {} : { cursor }) })
    items.push(...page.items)
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
  return items
}
