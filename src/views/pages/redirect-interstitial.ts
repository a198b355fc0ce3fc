import { buttonLink } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Redirects to the client without a script or a form. The link is for browsers that do not follow a refresh. */
export interface RedirectInterstitialModel {
  readonly clientName: string
  /** The registered redirect URI with the response. */
  readonly url: string
}

export function redirectInterstitialPage(
  { clientName, url }: RedirectInterstitialModel,
  page: PageContext,
): string {
  const { texts } = page
  return frame(page, {
    title: texts.redirecting.title,
    refreshUrl: address(url),
    content: html`<div class="card stack">
<h1>${texts.redirecting.heading(name(clientName))}</h1>
<p class="muted tight">${texts.redirecting.text}</p>
${buttonLink(address(url), texts.redirecting.submit, 'primary')}
</div>`,
  })
}
