import { alert, button, field, form, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import type { Texts } from '../texts/index.ts'

export type ChangePasswordMessage =
  | {
      readonly kind:
        | 'wrong'
        | 'short'
        | 'long'
        | 'invisible'
        | 'common'
        | 'personal'
        | 'mismatch'
        | 'same'
        | 'busy'
    }
  | { readonly kind: 'rate_limited'; readonly seconds: number }

/** Posts `current_password`, `new_password`, `new_password_repeat`, `csrf` to `/account/password`. */
export interface ChangePasswordModel {
  /** Hidden; password managers need it. */
  readonly username: string
  readonly minLength: number
  readonly message: ChangePasswordMessage | null
}

function messageText(texts: Texts, message: ChangePasswordMessage, minLength: number): string {
  const { errors } = texts.changePassword
  if (message.kind === 'rate_limited') return texts.common.rateLimited(message.seconds)
  if (message.kind === 'busy') return texts.common.busy
  return message.kind === 'short' ? errors.short(minLength) : errors[message.kind]
}

export function changePasswordPage(model: ChangePasswordModel, page: PageContext): string {
  const { texts } = page
  const { message, minLength } = model
  const currentIsWrong = message?.kind === 'wrong'
  const newIsWrong = message !== null && !['wrong', 'busy', 'rate_limited'].includes(message.kind)
  return frame(page, {
    title: texts.changePassword.title,
    failed: message !== null,
    content: html`<div class="card stack">
<h1>${texts.changePassword.title}</h1>
<p class="lead tight">${texts.changePassword.lead}</p>
${message && alert(messageText(texts, message, minLength), !currentIsWrong && !newIsWrong)}
${form(page, {
  path: '/account/password',
  className: 'stack',
  content: html`<input type="text" name="username" value="${model.username}" autocomplete="username" readonly hidden>
${field({
  name: 'current_password',
  label: texts.changePassword.currentPassword,
  type: 'password',
  autocomplete: 'current-password',
  autofocus: message === null || currentIsWrong,
  invalid: currentIsWrong,
})}
${field({
  name: 'new_password',
  label: texts.changePassword.newPassword,
  type: 'password',
  autocomplete: 'new-password',
  hint: texts.changePassword.hint(minLength),
  autofocus: newIsWrong,
  invalid: newIsWrong,
})}
${field({
  name: 'new_password_repeat',
  label: texts.changePassword.repeatPassword,
  type: 'password',
  autocomplete: 'new-password',
  invalid: message?.kind === 'mismatch',
})}
${button({ label: texts.changePassword.submit })}`,
})}
<p><a class="more" href="${pageUrl(page, '/account')}">${texts.common.cancel}</a></p>
</div>`,
  })
}
