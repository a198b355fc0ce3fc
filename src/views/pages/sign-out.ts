import { button, form, type HiddenFields } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Posts `decision` (`sign-out` or `stay`), `csrf` and `fields` to `/oauth2/logout/confirm`. */
export interface SignOutModel {
  /** The client that sent the user here; null if it is unknown. */
  readonly clientName: string | null
  /** The user who is signed in. */
  readonly username: string
  readonly fields?: HiddenFields
}

export function signOutPage(model: SignOutModel, page: PageContext): string {
  const { texts, brand } = page
  return frame(page, {
    title: texts.signOut.title,
    content: html`<div class="card stack">
<h1>${texts.signOut.heading(brand.name)}</h1>
${model.clientName !== null && html`<p>${texts.signOut.clientSignedOut(name(model.clientName))}</p>`}
<p class="muted">${texts.common.signedInAs(name(model.username))}</p>
${form(page, {
  path: '/oauth2/logout/confirm',
  ...(model.fields && { fields: model.fields }),
  className: 'stack',
  content: html`${button({ label: texts.signOut.submit, name: 'decision', value: 'sign-out' })}
${button({ label: texts.signOut.stay, kind: 'secondary', name: 'decision', value: 'stay' })}`,
})}
</div>`,
  })
}
