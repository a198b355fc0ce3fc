import { button, type HiddenFields, hidden } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** OAuth 2.0 Form Post Response Mode: goes to the client, so it carries nothing of ours but the answer. */
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
    title: texts.formPost.title,
    scripts: [assets.formPost],
    content: html`<div class="card stack">
<h1>${texts.formPost.heading(name(clientName))}</h1>
<p class="muted tight">${texts.formPost.text}</p>
<form method="post" action="${address(action)}" data-send>
${hidden(fields)}
${button({ label: texts.formPost.submit })}
</form>
</div>`,
  })
}
