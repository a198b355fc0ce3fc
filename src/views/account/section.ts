/** A section of the account page, and the rows in it. */
import { type Content, type Html, html } from '../html.ts'

export interface Section {
  /** The `id` of the heading, which labels the section. */
  readonly id: string
  readonly title: string
  readonly description?: Content
  readonly content: Content
}

export const section = ({ id, title, description, content }: Section): Html =>
  html`<section class="card section" aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${description && html`<p class="intro">${description}</p>`}
${content}
</section>`

export interface Row {
  readonly title: Content
  /** Lines below the title. */
  readonly lines?: readonly Content[]
  readonly action?: Content
  /** Rows that are shown indented below this one. */
  readonly children?: readonly Row[]
}

export const rows = (items: readonly Row[]): Html =>
  html`<ul class="rows">
${items.map(
  ({
    title,
    lines = [],
    action,
    children = [],
  }) => html`<li><div class="text"><strong class="name">${title}</strong>
${lines.filter(Boolean).map((line) => html`<p>${line}</p>\n`)}</div>
${action}${children.length > 0 && rows(children)}</li>
`,
)}</ul>`
