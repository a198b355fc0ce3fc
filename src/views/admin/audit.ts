/** Pages of the audit log. */
import { dateTime } from '../dates.ts'
import { button, buttonLink, form, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type ConsoleContext, consolePage, noteList } from './page.ts'
import { facts, panel, table } from './table.ts'

const AUDIT_PATH = '/admin/audit'

export interface ShownEvent {
  readonly seq: number
  readonly at: number
  readonly event: string
  /** How many events the row stands for. */
  readonly count: number
  readonly actor: string | null
  /** The user that it is about, by name if the user exists. */
  readonly user: string | null
  readonly clientId: string | null
  readonly fields: readonly (readonly [string, string])[]
}

export const AUDIT_FILTERS = ['event', 'user', 'client', 'since', 'until'] as const
export type AuditFilters = Partial<Record<(typeof AUDIT_FILTERS)[number], string>>

export interface AuditModel {
  readonly events: readonly ShownEvent[]
  readonly filters: AuditFilters
  /** All kinds of events. */
  readonly kinds: readonly string[]
  readonly continued: boolean
  readonly nextCursor: string | null
  /** In English. */
  readonly notes: readonly string[]
  /** Why the filters were refused, in English. */
  readonly problem: string | null
}

export function auditPage(model: AuditModel, page: ConsoleContext): string {
  const { audit: words, common, places } = page.words
  const filtered = Object.values(model.filters).some(Boolean)
  return consolePage(page, {
    place: 'audit',
    title: places.audit,
    failed: model.problem !== null,
    actions: buttonLink(pageUrl(page, `${AUDIT_PATH}/verify`), words.verify),
    intro: words.intro,
    content: html`${filterForm(model, page, filtered)}
${model.problem !== null && html`<div class="message bad" role="alert" lang="en"><p>${model.problem}</p></div>`}
${model.notes.length > 0 && html`<div class="message plain">${noteList(model.notes)}</div>`}
<div class="card flush">
${
  model.events.length === 0
    ? html`<p class="empty">${filtered ? common.nothingFound : common.nothing}</p>`
    : table({
        caption: places.audit,
        columns: [
          { label: words.time },
          { label: words.event },
          { label: words.actor, secondary: true },
          { label: words.about, secondary: true },
          { label: words.details, secondary: true },
        ],
        rows: model.events.map((one) => eventRow(one, page)),
      })
}
</div>
${pager(model, page)}`,
  })
}

/** Ids longer than this may be broken. */
const SHORT = 20

const bare = (text: string | null): Content =>
  text === null
    ? html`<span class="muted">–</span>`
    : html`<bdi${text.length <= SHORT && html` class="nowrap"`}>${text}</bdi>`

function eventRow(
  { at, event, count, actor, user, clientId, fields }: ShownEvent,
  page: ConsoleContext,
): Content[] {
  return [
    dateTime(page, at),
    html`<code>${event}</code>${count > 1 && html` <strong>${page.words.audit.times(count)}</strong>`}<span class="phone muted">${[actor, user === actor ? null : user, clientId].filter((one) => one !== null).join(' · ')}</span>`,
    bare(actor),
    user === null && clientId === null
      ? bare(null)
      : [
          user !== null && bare(user),
          user !== null && clientId !== null && user !== clientId && ', ',
          clientId !== null && clientId !== user && bare(clientId),
        ],
    html`<span class="pairs">${fields.map(([key, value]) => html`<span><span class="muted">${key}</span> <bdi>${value}</bdi></span> `)}</span>`,
  ]
}

function filterForm({ filters, kinds }: AuditModel, page: ConsoleContext, filtered: boolean): Html {
  const { audit: words, common } = page.words
  const path = pageUrl(page, AUDIT_PATH)
  const input = (name: 'user' | 'client' | 'since' | 'until', label: string, hint?: string) =>
    html`<div class="filter"><label for="filter-${name}">${label}</label><input id="filter-${name}" name="${name}" type="text" maxlength="200" value="${filters[name] ?? ''}"${hint && html` placeholder="${hint}"`} autocomplete="off" autocapitalize="none" spellcheck="false"></div>\n`
  return html`<form class="toolbar filters" method="get" action="${path}" role="search">
<div class="filter"><label for="filter-event">${words.event}</label><select id="filter-event" name="event"><option value="">${words.anyEvent}</option>
${kinds.map((kind) => html`<option value="${kind}"${kind === filters.event && html` selected`}>${kind}</option>`)}</select></div>
${input('user', words.user)}${input('client', words.client)}${input('since', words.since, words.timeHint)}${input('until', words.until)}
<button type="submit" class="button secondary"><span>${words.filter}</span></button>
${filtered && html`<a class="clear" href="${path}">${common.clearSearch}</a>`}
</form>`
}

function pager({ filters, continued, nextCursor }: AuditModel, page: ConsoleContext): Content {
  const { common } = page.words
  if (!continued && nextCursor === null) return null
  const url = (cursor: string | null) => pageUrl(page, AUDIT_PATH, { ...filters, cursor })
  return html`<nav class="pager" aria-label="${common.next}">
${continued && buttonLink(url(null), common.first)}
${nextCursor !== null && buttonLink(url(nextCursor), common.next)}
</nav>`
}

export interface Verdict {
  readonly intact: boolean
  readonly rows: number
  readonly head: string | null
  readonly prunedTo: number
  readonly signed: boolean | null
  /** In English. */
  readonly findings: readonly string[]
  readonly notes: readonly string[]
}

/** @param verdict null before the log was read */
export function auditVerifyPage(
  {
    verdict,
    anchor,
    problem,
  }: { readonly verdict: Verdict | null; readonly anchor: string; readonly problem: string | null },
  page: ConsoleContext,
): string {
  const { audit: words, common, places } = page.words
  return consolePage(page, {
    place: 'audit',
    title: words.verifyTitle,
    failed: problem !== null || verdict?.intact === false,
    back: { href: pageUrl(page, AUDIT_PATH), label: places.audit },
    intro: words.verifyIntro,
    content: html`${
      verdict &&
      html`<div class="message ${verdict.intact ? 'good' : 'bad'}" role="${verdict.intact ? 'status' : 'alert'}"><p>${verdict.intact ? words.intact : words.broken}</p>${noteList(verdict.findings)}</div>
${panel({
  id: 'verdict',
  title: words.head,
  content: html`${facts([
    [words.rows, String(verdict.rows)],
    [words.head, verdict.head === null ? common.none : html`<code>${verdict.head}</code>`],
    [words.prunedTo, String(verdict.prunedTo)],
    [words.signed, verdict.signed ? common.yes : common.no],
  ])}${noteList(verdict.notes)}`,
})}`
    }
${problem !== null && html`<div class="message bad" role="alert" lang="en"><p>${problem}</p></div>`}
${form(page, {
  path: `${AUDIT_PATH}/verify`,
  className: 'card block fields',
  content: html`<div class="field"><label for="anchor">${words.anchor}</label>
<p class="hint" id="anchor-hint">${words.anchorHint}</p>
<input id="anchor" name="anchor" type="text" maxlength="100" aria-describedby="anchor-hint" value="${anchor}" autocomplete="off" spellcheck="false"></div>
<div class="buttons">${button({ label: words.verify })}</div>`,
})}`,
  })
}
