import { buttonLink, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Shown once, right after the codes were created. */
export interface RecoveryCodesModel {
  readonly codes: readonly string[]
  /** The user had other codes before. */
  readonly replaced: boolean
  /** Set if an authorization request waits; the page then leads back to it, otherwise to the account page. */
  readonly flow: string | null
}

export function recoveryCodesPage({ codes, replaced, flow }: RecoveryCodesModel, page: PageContext): string {
  const { texts } = page
  const nextUrl = flow === null ? pageUrl(page, '/account') : pageUrl(page, '/oauth2/authorize', { flow })
  return frame(page, {
    title: texts.recoveryCodes.title,
    content: html`<div class="card stack">
<h1>${texts.recoveryCodes.title}</h1>
<p>${texts.recoveryCodes.lead}</p>
<ul class="codes mono" aria-label="${texts.recoveryCodes.list}">
${codes.map((code) => html`<li>${code}</li>\n`)}</ul>
<p class="muted no-print">${texts.recoveryCodes.shownOnce}${replaced && html` ${texts.recoveryCodes.replaced}`}</p>
${buttonLink(nextUrl, texts.recoveryCodes.done, 'primary')}
</div>`,
  })
}
