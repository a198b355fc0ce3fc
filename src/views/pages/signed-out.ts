import { buttonLink, pageUrl } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

export interface SignedOutModel {
  /** The address must be registered by the client (RP-Initiated Logout §3). null: the page has no link back. */
  readonly back: { readonly url: string; readonly clientName: string | null } | null
}

export function signedOutPage({ back }: SignedOutModel, page: PageContext): string {
  const { texts } = page
  return frame(page, {
    title: texts.signedOut.title,
    content: html`<div class="card stack">
<h1>${texts.signedOut.heading}</h1>
<p class="muted tight">${texts.signedOut.text}</p>
${
  back
    ? buttonLink(
        address(back.url),
        back.clientName === null ? texts.signedOut.backToApp : texts.signedOut.backTo(name(back.clientName)),
        'primary',
      )
    : html`<p><a class="more" href="${pageUrl(page, '/login')}">${texts.signedOut.signInAgain}</a></p>`
}
</div>`,
  })
}
