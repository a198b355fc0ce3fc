import { renderSVG } from 'uqr'
import { alert, button, field, form, type HiddenFields, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Posts `code`, `enrolment`, `flow`, `csrf` to `/account/totp`. */
export interface EnrolTotpModel {
  /** Base32, as apps expect it. */
  readonly secret: string
  /** `otpauth://totp/…`. */
  readonly uri: string
  /** The encrypted secret, which the form returns with the code. */
  readonly enrolment: string
  /** Set if an authorization request waits for the enrolment. */
  readonly flow: string | null
  readonly message: { readonly kind: 'code' | 'expired' } | null
  readonly fields?: HiddenFields
}

/** Groups of four characters, which are easier to copy. */
const groups = (secret: string): string => secret.match(/.{1,4}/g)?.join(' ') ?? ''

/** Black on white in both themes, because some cameras cannot read the inverse. */
const qrCode = (uri: string): string =>
  `data:image/svg+xml;base64,${Buffer.from(renderSVG(uri, { ecc: 'M', border: 3 })).toString('base64')}`

export function enrolTotpPage(model: EnrolTotpModel, page: PageContext): string {
  const { texts } = page
  const { flow, message } = model
  const codeIsWrong = message?.kind === 'code'
  return frame(page, {
    title: texts.enrolTotp.title,
    failed: message !== null,
    content: html`<div class="card stack">
<h1>${texts.enrolTotp.title}</h1>
${message && alert(codeIsWrong ? texts.enrolTotp.wrongCode : texts.common.expired, !codeIsWrong)}
<p>${texts.enrolTotp.scan}</p>
<img class="qr" src="${qrCode(model.uri)}" alt="${texts.enrolTotp.qrAlt}" width="208" height="208">
<p>${texts.enrolTotp.enterKey}</p>
<p class="secret mono tight">${groups(model.secret)}</p>
<p>${texts.enrolTotp.enterCode}</p>
${form(page, {
  path: '/account/totp',
  fields: { ...model.fields, enrolment: model.enrolment, flow },
  className: 'stack',
  content: html`${field({
    name: 'code',
    label: texts.enrolTotp.code,
    autocomplete: 'one-time-code',
    digits: 6,
    invalid: codeIsWrong,
    autofocus: codeIsWrong,
  })}
${button({ label: texts.enrolTotp.submit })}`,
})}
<p><a class="more" href="${flow === null ? pageUrl(page, '/account') : pageUrl(page, '/account/second-factor', { flow })}">${texts.common.cancel}</a></p>
</div>`,
  })
}
