import { cancelForm, pageUrl } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Links to `/account/totp?flow=…` and `/account/passkeys?flow=…`. */
export interface EnrolRequiredModel {
  readonly username: string
  /** The application that requires a second factor; null: one of the user's roles does. */
  readonly requiredBy: string | null
  /** The application that sent the user here. */
  readonly clientName: string
  /** null: no authorization request waits for it. */
  readonly flow: string | null
}

export function enrolRequiredPage(model: EnrolRequiredModel, page: PageContext): string {
  const { texts } = page
  const { flow, requiredBy } = model
  return frame(page, {
    title: texts.enrolRequired.title,
    content: html`<div class="card stack">
<h1>${texts.enrolRequired.title}</h1>
<p>${requiredBy === null ? texts.enrolRequired.requiredByOrganisation : texts.enrolRequired.requiredByClient(name(requiredBy))}</p>
<ul class="choices">
<li><a href="${pageUrl(page, '/account/totp', { flow })}"><strong>${texts.enrolRequired.totp}</strong><span class="muted">${texts.enrolRequired.totpHint}</span></a></li>
<li><a href="${pageUrl(page, '/account/passkeys', { flow })}"><strong>${texts.enrolRequired.passkey}</strong><span class="muted">${texts.enrolRequired.passkeyHint}</span></a></li>
</ul>
<p class="muted small">${texts.common.signedInAs(name(model.username))} <a class="more" href="${pageUrl(page, '/login', { flow, account: 'other' })}">${texts.common.useAnotherAccount}</a></p>
${cancelForm(page, flow, model.clientName)}
</div>`,
  })
}
