/** Reads which part of a list a page shows. Must not know what is listed. */
import type { FastifyReply } from 'fastify'
import type { Admin } from '../../../admin/admin.ts'
import type { Page, PageQuery } from '../../../admin/verbs.ts'
import type { Listed } from '../../../views/admin/list.ts'
import type { ConsoleContext } from '../../../views/admin/page.ts'
import type { PageRequest } from '../../page-request.ts'
import type { Visit } from './visit.ts'

/** Rows that a person can survey. */
export const PAGE_SIZE = 50

export const pageQueryOf = ({ query }: PageRequest): PageQuery => ({
  limit: PAGE_SIZE,
  cursor: query.get('cursor'),
  search: query.get('search')?.slice(0, 200),
})

interface ListPage<T, R> {
  readonly list: (admin: Admin, query: PageQuery) => Promise<Page<T>>
  readonly shown: (item: T) => R
  readonly render: (list: Listed<R>, page: ConsoleContext) => string
}

/** The page with one part of a list that can be searched. */
export const listPage =
  <T, R>({ list, shown, render }: ListPage<T, R>) =>
  async ({ request, admin, page, send }: Visit): Promise<FastifyReply> =>
    send(render(listed(request, await list(admin, pageQueryOf(request)), shown), page))

export function listed<T, R>(
  { query }: PageRequest,
  { items, next_cursor: nextCursor }: Page<T>,
  shown: (item: T) => R,
): Listed<R> {
  const continued = query.get('cursor') !== undefined
  return { items: items.map(shown), search: query.get('search') ?? '', continued, nextCursor }
}
