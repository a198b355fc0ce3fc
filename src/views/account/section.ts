/** A part of the account page. */
import { type Content, type Html, html } from '../html.ts'

export interface Section {
  /** Names the heading, which names the region. */
  readonly id: string
  readonly title: string
  readonly about?: Content
  readonly content: Content
}

export const section = ({ id, title, about, content }: Section): Html =>
  html`<section class="card section" aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${about && html`<p class="about">${about}</p>`}
${content}
</section>`

export interface Row {
  readonly title: Content
  /** Lines below the title. */
  readonly lines?: readonly Content[]
  readonly action?: Content
  /** A list of what belongs to it. */
  readonly below?: readonly Row[]
}

export const rows = (all: readonly Row[]): Html =>
  html`<ul class="rows">
${all.map(
  ({
    title,
    lines = [],
    action,
    below = [],
  }) => html`<li><div class="what"><strong class="name">${title}</strong>
${lines.filter(Boolean).map((line) => html`<p>${line}</p>\n`)}</div>
${action}${below.length > 0 && rows(below)}</li>
`,
)}</ul>`
