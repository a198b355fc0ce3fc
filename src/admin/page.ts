/** Parts of lists, and the cursors between them. Must not know what the items are. */

import type { EpochSeconds } from '../system.ts'
import { invalidValue } from './errors.ts'
import type { Page, PageQuery } from './verbs.ts'

export const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 1000

/** A cursor is opaque to its user: it contains the key of the last item of the part. */
export const cursorOf = (key: string): string => Buffer.from(key).toString('base64url')

/** @throws {AdminError} */
export function keyOf(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString()
  // No key contains a NUL, and PostgreSQL fails with an error if it is asked for one.
  if (key === '' || key.includes('\0') || cursorOf(key) !== cursor)
    throw invalidValue('cursor', 'the cursor does not belong to this list')
  return key
}

/** Where a row is in a list that begins with the oldest, or with the newest. */
interface Age {
  readonly createdAt: EpochSeconds
  readonly id: string
}

export const ageCursor = ({ createdAt, id }: Age): string => cursorOf(`${createdAt} ${id}`)

/** @throws {AdminError} if the cursor is not one of a list in the order of age */
export function ageOf(cursor: string): Age {
  const [, createdAt, id] = /^(\d{1,15}) (.+)$/s.exec(keyOf(cursor)) ?? []
  if (createdAt === undefined || id === undefined)
    throw invalidValue('cursor', 'the cursor does not belong to this list')
  return { createdAt: Number(createdAt), id }
}

const isFound = (search: string | undefined, texts: readonly (string | null)[]): boolean => {
  const wanted = search?.toLowerCase()
  return wanted === undefined || texts.some((text) => text?.toLowerCase().includes(wanted))
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
  const last = cursor === undefined ? undefined : keyOf(cursor)
  const after = last === undefined ? -1 : all.findIndex((item) => key(item) === last)
  if (last !== undefined && after < 0) return { items: [], next_cursor: null }
  const found = all.slice(after + 1).filter((item) => isFound(search, texts(item)))
  const items = found.slice(0, limit)
  const end = items.at(-1)
  return { items, next_cursor: found.length > limit && end !== undefined ? cursorOf(key(end)) : null }
}

/** Rows that are read at once while a list is searched. */
const CHUNK = 1000

/** Reads at most `limit` rows after a place, or from the beginning. A row contains its own place. */
type ReadRows<Row extends Place, Place> = (after: Place | null, limit: number) => Promise<readonly Row[]>

interface StoredList<Row extends Place, Place> {
  readonly read: ReadRows<Row, Place>
  readonly cursor: (last: Row) => string
  /** @throws {AdminError} if the cursor is not one of this list */
  readonly placeOf: (cursor: string) => Place
  /** What a search looks at. */
  readonly texts: (row: Row) => readonly (string | null)[]
  /** Whether the row is in the list at all. */
  readonly isListed?: (row: Row) => boolean
}

/** One part of a list that stays in the store: no more is read than is shown, unless a search has to look further. */
export async function storedPage<Row extends Place, Place>(
  { read, cursor, placeOf, texts, isListed = () => true }: StoredList<Row, Place>,
  { limit = DEFAULT_LIMIT, cursor: from, search }: PageQuery,
): Promise<Page<Row>> {
  const found: Row[] = []
  let after = from === undefined ? null : placeOf(from)
  // One more than the limit, to know whether there are more, and one that is built in and not shown.
  for (let size = search === undefined ? limit + 2 : CHUNK; found.length <= limit; size = CHUNK) {
    const rows = await read(after, size)
    found.push(...rows.filter((row) => isListed(row) && isFound(search, texts(row))))
    after = rows.at(-1) ?? null
    if (after === null || rows.length < size) break
  }
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next_cursor: found.length > limit && last !== undefined ? cursor(last) : null }
}

/** All rows, of which only a few are in memory at a time. */
export async function* eachRow<Row extends Place, Place>(read: ReadRows<Row, Place>): AsyncGenerator<Row> {
  for (let after: Row | null = null; ; ) {
    const rows: readonly Row[] = await read(after, CHUNK)
    yield* rows
    after = rows.at(-1) ?? null
    if (rows.length < CHUNK) return
  }
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
