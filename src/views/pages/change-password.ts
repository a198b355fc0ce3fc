import { alert, button, field, form, ours } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import type { Texts } from '../texts/index.ts'

export type ChangePasswordMessage =
  | { readonly kind: 'wrong' | 'short' | 'long' | 'mismatch' | 'same' | 'busy' }
  | { readonly kind: 'rate_limited'; readonly seconds: number }

/** Posts `current_password`, `new_password`, `new_password_repeat`, `csrf` to `/account/password`. */
export interface ChangePasswordModel {
  /** Not shown: for the program that keeps the passwords. */
  readonly username: string
  readonly shortest: number
  readonly message: ChangePasswordMessage | null
}

function said(texts: Texts, message: ChangePasswordMessage, shortest: number): string {
  const { errors } = texts.changePassword
  if (message.kind === 'rate_limited') return texts.common.rateLimited(message.seconds)
  if (message.kind === 'busy') return texts.common.busy
  return message.kind === 'short' ? errors.short(shortest) : errors[message.kind]
}

export function changePasswordPage(model: ChangePasswordModel, page: PageContext): string {
  const { texts } = page
  const { message, shortest } = model
  const inCurrent = message?.kind === 'wrong'
  const inNew = message !== null && ['short', 'long', 'mismatch', 'same'].includes(message.kind)
  return frame(page, {
    title: texts.changePassword.title,
    failed: message !== null,
    content: html`<div class="card stack">
<h1>${texts.changePassword.title}</h1>
<p class="lead tight">${texts.changePassword.lead}</p>
${message && alert(said(texts, message, shortest), !inCurrent && !inNew)}
${form(page, {
  path: '/account/password',
  className: 'stack',
  content: html`<input type="text" name="username" value="${model.username}" autocomplete="username" readonly hidden>
${field({
  name: 'current_password',
  label: texts.changePassword.current,
  type: 'password',
  autocomplete: 'current-password',
  autofocus: message === null || inCurrent,
  invalid: inCurrent,
})}
${field({
  name: 'new_password',
  label: texts.changePassword.next,
  type: 'password',
  autocomplete: 'new-password',
  hint: texts.changePassword.hint(shortest),
  autofocus: inNew,
  invalid: inNew,
})}
${field({
  name: 'new_password_repeat',
  label: texts.changePassword.repeat,
  type: 'password',
  autocomplete: 'new-password',
  invalid: message?.kind === 'mismatch',
})}
${button({ label: texts.changePassword.submit })}`,
})}
<p><a class="more" href="${ours(page, '/account')}">${texts.common.cancel}</a></p>
</div>`,
  })
}
