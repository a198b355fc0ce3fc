/** The page before an act that takes something away: it says what follows, and has the button. Must not know the act. */
import { alert, button, buttonLink, form, type HiddenFields } from '../forms.ts'
import { type Content, html } from '../html.ts'
import { type Change, changesPanel } from './form.ts'
import { type ConsoleContext, consolePage, type Place } from './page.ts'

/** The parts of a confirmation that depend on what has happened. */
export interface Asked {
  readonly hidden: HiddenFields
  /** Why the act was refused; in English. */
  readonly problem: string | null
  /** The label of the box that insists on an act that was refused; null if it was not, or if nothing helps. */
  readonly insist: string | null
  readonly changes: readonly Change[] | null
}

export interface Confirmation extends Asked {
  readonly place: Place
  readonly title: string
  /** What the act is about, for the message about changes by others. */
  readonly subject: string
  readonly back: { readonly href: string; readonly label: string }
  /** Below the issuer. */
  readonly path: string
  /** One sentence each. */
  readonly follows: readonly Content[]
  readonly details?: Content
  readonly submit: string
  readonly danger?: boolean
}

export function confirmPage(model: Confirmation, page: ConsoleContext): string {
  const { words } = page
  const { danger = true, insist } = model
  return consolePage(page, {
    place: model.place,
    title: model.title,
    failed: model.problem !== null || model.changes !== null,
    back: model.back,
    content: html`${changesPanel(model.changes, page, model.subject)}
${model.problem !== null && alert(html`<span lang="en">${model.problem}</span>`, true)}
<div class="card block confirm">
<h2>${words.common.follows}</h2>
<ul class="follows">${model.follows.filter(Boolean).map((sentence) => html`<li>${sentence}</li>\n`)}</ul>
${model.details}
${form(page, {
  path: model.path,
  fields: model.hidden,
  content: html`${insist !== null && html`<label class="check"><input type="checkbox" name="force" value="yes" required> <span>${insist}</span></label>`}
<div class="buttons">${button({ label: model.submit, kind: danger ? 'danger' : 'primary' })}${buttonLink(model.back.href, words.common.cancel, 'quiet')}</div>`,
})}
</div>`,
  })
}
