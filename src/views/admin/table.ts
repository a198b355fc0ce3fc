/** Tables and lists of facts. On a phone, columns that are not needed to recognise a row are hidden. */
import { type Content, type Html, html } from '../html.ts'

export interface Column {
  readonly label: string
  /** Hidden on a phone; the page of the row shows it too. */
  readonly secondary?: boolean
}

export interface Table {
  /** For screen readers. */
  readonly caption: string
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Content[])[]
}

export const table = ({ caption, columns, rows }: Table): Html => {
  const css = (index: number) => columns[index]?.secondary && html` class="extra"`
  const cell = (content: Content, index: number) =>
    index === 0 ? html`<th scope="row">${content}</th>` : html`<td${css(index)}>${content}</td>`
  return html`<table>
<caption class="visually-hidden">${caption}</caption>
<thead><tr>${columns.map(({ label }, index) => html`<th scope="col"${css(index)}>${label}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody>
</table>`
}

/** Scopes and other names that are written in code. */
export const names = (list: readonly string[], none: Content): Content =>
  list.length === 0
    ? html`<span class="muted">${none}</span>`
    : html`<ul class="names">${list.map((one) => html`<li><code><bdi>${one}</bdi></code></li>`)}</ul>`

export const facts = (pairs: readonly (readonly [string, Content])[]): Html =>
  html`<dl class="facts">
${pairs.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>\n`)}</dl>`

export interface Panel {
  /** The `id` of the heading. */
  readonly id: string
  readonly title: string
  /** Shown beside the title. */
  readonly badge?: Content
  readonly content: Content
}

export const panel = ({ id, title, badge, content }: Panel): Html =>
  html`<section class="card block" aria-labelledby="${id}">
<h2 id="${id}">${title}${badge && [' ', badge]}</h2>
${content}
</section>`
