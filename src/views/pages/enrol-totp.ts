import { renderSVG } from 'uqr'
import { alert, button, field, form, type HiddenFields, ours } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Posts `code`, `enrolment`, `flow`, `csrf` to `/account/totp`. */
export interface EnrolTotpModel {
  /** Base32, as the app takes it. */
  readonly secret: string
  /** `otpauth://totp/…`. */
  readonly uri: string
  /** The encrypted secret, which comes back with the code. */
  readonly enrolment: string
  /** Set while an authorization request waits for it. */
  readonly flow: string | null
  readonly message: { readonly kind: 'code' | 'expired' } | null
  readonly fields?: HiddenFields
}

/** Groups of four, which eyes can follow. */
const groups = (secret: string): string => secret.match(/.{1,4}/g)?.join(' ') ?? ''

/** Black on white in either theme: not every camera reads the inverse. */
const qrCode = (uri: string): string =>
  `data:image/svg+xml;base64,${Buffer.from(renderSVG(uri, { ecc: 'M', border: 3 })).toString('base64')}`

export function enrolTotpPage(model: EnrolTotpModel, page: PageContext): string {
  const { texts } = page
  const { flow, message } = model
  const wrong = message?.kind === 'code'
  return frame(page, {
    title: texts.enrolTotp.title,
    failed: message !== null,
    content: html`<div class="card stack">
<h1>${texts.enrolTotp.title}</h1>
${message && alert(wrong ? texts.enrolTotp.wrong : texts.common.expired, !wrong)}
<p>${texts.enrolTotp.scan}</p>
<img class="qr" src="${qrCode(model.uri)}" alt="${texts.enrolTotp.qrAlt}" width="208" height="208">
<p>${texts.enrolTotp.byHand}</p>
<p class="secret mono tight">${groups(model.secret)}</p>
<p>${texts.enrolTotp.confirm}</p>
${form(page, {
  path: '/account/totp',
  fields: { ...model.fields, enrolment: model.enrolment, flow },
  className: 'stack',
  content: html`${field({
    name: 'code',
    label: texts.enrolTotp.code,
    autocomplete: 'one-time-code',
    digits: 6,
    invalid: wrong,
    autofocus: wrong,
  })}
${button({ label: texts.enrolTotp.submit })}`,
})}
<p><a class="more" href="${flow === null ? ours(page, '/account') : ours(page, '/account/second-factor', { flow })}">${texts.common.cancel}</a></p>
</div>`,
  })
}
