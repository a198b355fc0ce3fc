/** The one page that shows a secret or a one-time link: the response to the request that made it. */
import { buttonLink } from '../forms.ts'
import { type Content, html } from '../html.ts'
import { type ConsoleContext, consolePage, noteList, type Place } from './page.ts'
import { facts } from './table.ts'

export interface SecretModel {
  readonly place: Place
  readonly title: string
  /** What was done. */
  readonly message: Content
  /** In English. */
  readonly notes: readonly string[]
  /** The label of each value, and the value: the names that go with the secret, and the secret. */
  readonly facts: readonly (readonly [string, Content])[]
  readonly secret: string
  readonly next: { readonly href: string; readonly label: string }
}

export const secretPage = (model: SecretModel, page: ConsoleContext): string =>
  consolePage(page, {
    place: model.place,
    title: model.title,
    content: html`<div class="message good" role="status"><p>${model.message}</p>${noteList(model.notes)}</div>
<div class="card block confirm">
<p><strong>${page.words.common.shownOnce}</strong></p>
${model.facts.length > 0 && facts(model.facts)}
<p class="once"><code>${model.secret}</code></p>
<div class="buttons">${buttonLink(model.next.href, model.next.label, 'primary')}</div>
</div>`,
  })
