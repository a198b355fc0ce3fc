import { buttonLink } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Goes to the client by itself, without script or form; the link is for browsers that are told not to. */
export interface RedirectInterstitialModel {
  readonly clientName: string
  /** The registered redirect URI, with the answer. */
  readonly url: string
}

export function redirectInterstitialPage(
  { clientName, url }: RedirectInterstitialModel,
  page: PageContext,
): string {
  const { texts } = page
  return frame(page, {
    title: texts.formPost.title,
    next: address(url),
    content: html`<div class="card stack">
<h1>${texts.formPost.heading(name(clientName))}</h1>
<p class="muted tight">${texts.formPost.text}</p>
${buttonLink(address(url), texts.formPost.submit, 'primary')}
</div>`,
  })
}
