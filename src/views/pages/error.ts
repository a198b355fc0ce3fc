import { buttonLink } from '../forms.ts'
import { address, html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import type { Texts } from '../texts/index.ts'

export type ErrorKind = keyof Texts['errors']['kinds']

export interface ErrorModel {
  readonly kind: ErrorKind
  /** Text for developers, in English: the error code and its description, safe to show. */
  readonly detail: string | null
  /** The request's ID in the log. */
  readonly requestId: string | null
  /** Must be a trusted address; null: no link. */
  readonly link: { readonly url: string; readonly label: string } | null
}

export function errorPage({ kind, detail, requestId, link }: ErrorModel, page: PageContext): string {
  const { errors } = page.texts
  const { title, text } = errors.kinds[kind]
  return frame(page, {
    title,
    failed: true,
    content: html`<div class="card stack">
<h1>${title}</h1>
<p>${text}</p>
${link && buttonLink(address(link.url), link.label)}
${
  detail !== null &&
  html`<div class="panel small"><p class="muted">${errors.details}</p>
<p><code><bdi>${detail}</bdi></code></p></div>`
}
${requestId !== null && html`<p class="muted small">${errors.requestId}: <code>${requestId}</code></p>`}
</div>`,
  })
}
