/** Pages of client sessions. Their members have the names of the JSON. */
import { dateTime } from '../dates.ts'
import { buttonLink, pageUrl } from '../forms.ts'
import { type Content, html } from '../html.ts'
import { clientUrl } from './client-url.ts'
import { type Asked, confirmPage } from './confirm.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { facts, names, table } from './table.ts'
import { userUrl } from './users.ts'

export interface ShownSession {
  readonly id: string
  readonly state: 'active' | 'expired' | 'revoked'
  readonly username: string
  readonly client_id: string
  readonly scope: string
  readonly audience: string
  readonly created_at: number
  readonly last_used_at: number
}

export interface SessionsModel {
  readonly items: readonly ShownSession[]
  readonly user: string
  readonly client: string
  readonly continued: boolean
  readonly nextCursor: string | null
  /** Why the filters were refused, in English. */
  readonly problem: string | null
}

export const SESSIONS_PATH = '/admin/sessions'

const STATE_KINDS = { active: 'good', expired: '', revoked: 'bad' } as const

const wordsOf = (text: string): string[] => text.split(' ').filter(Boolean)

export function sessionsPage(model: SessionsModel, page: ConsoleContext): string {
  const { sessions: words, common, places } = page.words
  const { user, client } = model
  const filtered = user !== '' || client !== ''
  const url = (cursor: string | null) =>
    pageUrl(page, SESSIONS_PATH, { user: user || null, client: client || null, cursor })
  const input = (name: 'user' | 'client', value: string) =>
    html`<div class="filter"><label for="filter-${name}">${words[name]}</label><input id="filter-${name}" name="${name}" type="text" maxlength="200" value="${value}" autocomplete="off" autocapitalize="none" spellcheck="false"></div>\n`
  return consolePage(page, {
    place: 'sessions',
    title: places.sessions,
    failed: model.problem !== null,
    intro: words.intro,
    // All sessions of both would be all of one of them.
    actions: filtered && model.problem === null && (user === '' || client === '') && endAllLink(model, page),
    content: html`<form class="toolbar filters" method="get" action="${pageUrl(page, SESSIONS_PATH)}" role="search">
${input('user', user)}${input('client', client)}
<button type="submit" class="button secondary"><span>${words.filter}</span></button>
${filtered && html`<a class="clear" href="${pageUrl(page, SESSIONS_PATH)}">${common.clearSearch}</a>`}
</form>
${model.problem !== null && html`<div class="message bad" role="alert" lang="en"><p>${model.problem}</p></div>`}
<div class="card flush">
${
  model.items.length === 0
    ? html`<p class="empty">${filtered ? common.nothingFound : common.nothing}</p>`
    : table({
        caption: places.sessions,
        columns: [
          { label: words.user },
          { label: words.client },
          { label: words.scopes, secondary: true },
          { label: words.state },
          { label: words.created, secondary: true },
          { label: words.lastUsed, secondary: true },
          { label: '' },
        ],
        rows: model.items.map((session) => row(session, page)),
      })
}
</div>
${
  (model.continued || model.nextCursor !== null) &&
  html`<nav class="pager" aria-label="${common.next}">${model.continued && buttonLink(url(null), common.first)}${model.nextCursor !== null && buttonLink(url(model.nextCursor), common.next)}</nav>`
}`,
  })
}

const row = (session: ShownSession, page: ConsoleContext): Content[] => {
  const { sessions: words, common } = page.words
  return [
    html`<a href="${userUrl(page, session.username)}"><bdi>${session.username}</bdi></a>`,
    html`<a href="${clientUrl(page, session.client_id)}"><bdi>${session.client_id}</bdi></a>`,
    names(wordsOf(session.scope), common.none),
    html`<span class="state ${STATE_KINDS[session.state]}">${words.states[session.state]}</span>`,
    dateTime(page, session.created_at),
    dateTime(page, session.last_used_at),
    session.state === 'active' &&
      html`<a class="act" href="${pageUrl(page, `${SESSIONS_PATH}/end`, { session: session.id })}">${words.end}<span class="visually-hidden"> ${session.username} ${session.client_id}</span></a>`,
  ]
}

const endAllLink = ({ user, client }: SessionsModel, page: ConsoleContext): Content => {
  const { sessions: words } = page.words
  const href = pageUrl(page, `${SESSIONS_PATH}/end-all`, { user: user || null, client: client || null })
  return buttonLink(href, user === '' ? words.endAllOfClient : words.endAllOfUser, 'danger')
}

export const sessionEndPage = (asked: Asked, session: ShownSession, page: ConsoleContext): string => {
  const { sessions: words, places } = page.words
  return confirmPage(
    {
      ...asked,
      place: 'sessions',
      title: words.endTitle,
      subject: session.id,
      back: { href: pageUrl(page, SESSIONS_PATH), label: places.sessions },
      path: `${SESSIONS_PATH}/end`,
      follows: [words.endText],
      details: facts([
        [words.user, html`<bdi>${session.username}</bdi>`],
        [words.client, html`<bdi>${session.client_id}</bdi>`],
        [words.scopes, names(wordsOf(session.scope), page.words.common.none)],
        [words.audience, html`<bdi>${session.audience}</bdi>`],
        [words.created, dateTime(page, session.created_at)],
      ]),
      submit: words.end,
    },
    page,
  )
}

/** @param of exactly one of them is given */
export const sessionsEndAllPage = (
  asked: Asked,
  of: { readonly user: string } | { readonly client: string },
  page: ConsoleContext,
): string => {
  const { sessions: words, places } = page.words
  const ofUser = 'user' in of
  return confirmPage(
    {
      ...asked,
      place: 'sessions',
      title: ofUser ? words.endAllOfUserTitle(of.user) : words.endAllOfClientTitle(of.client),
      subject: ofUser ? of.user : of.client,
      back: { href: pageUrl(page, SESSIONS_PATH, of), label: places.sessions },
      path: `${SESSIONS_PATH}/end-all`,
      follows: [words.endText, ofUser ? words.endAllOfUserText : words.endAllOfClientText],
      submit: words.end,
    },
    page,
  )
}
