import { buttonLink, ours } from '../forms.ts'
import { address, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

export interface SignedOutModel {
  /** Only an address that the client has registered (RP-Initiated Logout §3); null: no way back is offered. */
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
        back.clientName === null ? texts.signedOut.backUnnamed : texts.signedOut.back(name(back.clientName)),
        'primary',
      )
    : html`<p><a class="more" href="${ours(page, '/login')}">${texts.signedOut.signInAgain}</a></p>`
}
</div>`,
  })
}
