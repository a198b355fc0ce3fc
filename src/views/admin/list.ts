/** A page with a list: search, table, next part. Must not know what is listed. */
import { buttonLink, type HiddenFields, hidden, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type ConsoleContext, consolePage, type Place, placePath } from './page.ts'
import { type Column, table } from './table.ts'

/** A part of a list, and what led to it. */
export interface Listed<T> {
  readonly items: readonly T[]
  readonly search: string
  /** Not the first part. */
  readonly continued: boolean
  readonly nextCursor: string | null
  /** Filters besides the search, which the links to other parts keep. */
  readonly filters?: HiddenFields
}

export interface ListPage<T> {
  readonly place: Place
  readonly intro?: Content
  readonly actions?: Content
  readonly columns: readonly Column[]
  readonly row: (item: T) => readonly Content[]
  /** Between the search and the table. */
  readonly before?: Content
}

export function listPage<T>(list: Listed<T>, page: ConsoleContext, options: ListPage<T>): string {
  const { place, columns, row } = options
  const { words } = page
  const filtered = list.search !== '' || Object.values(list.filters ?? {}).some(Boolean)
  return consolePage(page, {
    place,
    title: words.places[place],
    ...(options.actions ? { actions: options.actions } : {}),
    ...(options.intro ? { intro: options.intro } : {}),
    content: html`${toolbar(list, page, options, filtered)}
${options.before}
<div class="card flush">
${
  list.items.length === 0
    ? html`<p class="empty">${filtered ? words.common.nothingFound : words.common.nothing}</p>`
    : table({ caption: words.places[place], columns, rows: list.items.map(row) })
}
</div>
${pager(list, page, place)}`,
  })
}

function toolbar<T>(list: Listed<T>, page: ConsoleContext, { place }: ListPage<T>, filtered: boolean): Html {
  const { common, places } = page.words
  const path = pageUrl(page, placePath(place))
  return html`<form class="toolbar" method="get" action="${path}" role="search">
<label class="visually-hidden" for="search">${common.searchFor(places[place])}</label>
<input id="search" name="search" type="search" maxlength="200" value="${list.search}" placeholder="${common.search}" autocomplete="off" spellcheck="false">
${hidden(list.filters ?? {})}
<button type="submit" class="button secondary"><span>${common.search}</span></button>
${filtered && html`<a class="clear" href="${path}">${common.clearSearch}</a>`}
</form>`
}

function pager<T>(list: Listed<T>, page: ConsoleContext, place: Place): Content {
  const { common } = page.words
  const url = (cursor?: string) =>
    pageUrl(page, placePath(place), {
      search: list.search === '' ? null : list.search,
      ...list.filters,
      cursor: cursor ?? null,
    })
  if (!list.continued && list.nextCursor === null) return null
  return html`<nav class="pager" aria-label="${common.next}">
${list.continued && buttonLink(url(), common.first)}
${list.nextCursor !== null && buttonLink(url(list.nextCursor), common.next)}
</nav>`
}
