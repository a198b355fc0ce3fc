import { buttonLink, ours } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Shown once, right after they were made. */
export interface RecoveryCodesModel {
  readonly codes: readonly string[]
  /** There were others before. */
  readonly replaced: boolean
  /** Set while an authorization request waits: it goes on there, else to the account page. */
  readonly flow: string | null
}

export function recoveryCodesPage({ codes, replaced, flow }: RecoveryCodesModel, page: PageContext): string {
  const { texts } = page
  const next = flow === null ? ours(page, '/account') : ours(page, '/oauth2/authorize', { flow })
  return frame(page, {
    title: texts.recoveryCodes.title,
    content: html`<div class="card stack">
<h1>${texts.recoveryCodes.title}</h1>
<p>${texts.recoveryCodes.lead}</p>
<ul class="codes mono" aria-label="${texts.recoveryCodes.list}">
${codes.map((code) => html`<li>${code}</li>\n`)}</ul>
<p class="muted no-print">${texts.recoveryCodes.once}${replaced && html` ${texts.recoveryCodes.replaced}`}</p>
${buttonLink(next, texts.recoveryCodes.done, 'primary')}
</div>`,
  })
}
