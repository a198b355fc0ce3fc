/** Reads which part of a list a page shows. Must not know what is listed. */
import type { Page, PageQuery } from '../../../admin/verbs.ts'
import type { Listed } from '../../../views/admin/list.ts'
import type { PageRequest } from '../../page-request.ts'

/** Rows that a person can survey. */
export const PAGE_SIZE = 50

export const pageQueryOf = ({ query }: PageRequest): PageQuery => ({
  limit: PAGE_SIZE,
  cursor: query.get('cursor'),
  search: query.get('search')?.slice(0, 200),
})

export function listed<T, R>(
  { query }: PageRequest,
  { items, next_cursor: nextCursor }: Page<T>,
  shown: (item: T) => R,
): Listed<R> {
  const continued = query.get('cursor') !== undefined
  return { items: items.map(shown), search: query.get('search') ?? '', continued, nextCursor }
}
