import { button, type HiddenFields, hidden } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** OAuth 2.0 Form Post Response Mode. The form posts to the client, so it contains the response and no CSRF token. */
export interface FormPostModel {
  readonly clientName: string
  /** The registered redirect URI. */
  readonly action: string
  /** `code`, `state`, `iss`, or an error. */
  readonly fields: HiddenFields
}

export function formPostPage({ clientName, action, fields }: FormPostModel, page: PageContext): string {
  const { texts, assets } = page
  return frame(page, {
    title: texts.redirecting.title,
    scripts: [assets.formPost],
    content: html`<div class="card stack">
<h1>${texts.redirecting.heading(name(clientName))}</h1>
<p class="muted tight">${texts.redirecting.text}</p>
<form method="post" action="${address(action)}" data-send>
${hidden(fields)}
${button({ label: texts.redirecting.submit })}
</form>
</div>`,
  })
}
