/** The page before an act that takes something away: it says what follows, and has the button. Must not know the act. */
import { alert, button, buttonLink, form, type HiddenFields } from '../forms.ts'
import { type Content, html } from '../html.ts'
import { type Change, changesPanel } from './form.ts'
import { type ConsoleContext, consolePage, type Place, placePath } from './page.ts'

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

interface Deletion extends Pick<Confirmation, 'place' | 'title' | 'subject'> {
  /** The page of what is deleted. */
  readonly shown: string
  /** What follows, in one sentence. */
  readonly follows: Content
}

/** The page before something is deleted that has a page of its own. */
export const deletePage = (
  asked: Asked,
  { place, title, subject, shown, follows }: Deletion,
  page: ConsoleContext,
): string => {
  const back = { href: shown, label: subject }
  const path = `${placePath(place)}/delete`
  const submit = page.words.common.delete
  return confirmPage({ ...asked, place, title, subject, back, path, follows: [follows], submit }, page)
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
