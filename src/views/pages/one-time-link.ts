import { alert, button, buttonLink, field, form, type HiddenFields, pageUrl } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type PasskeyChallenge, passkeyForm, passkeyScripts } from '../passkeys.ts'
import type { Texts } from '../texts/index.ts'

type PasswordMessage = 'short' | 'long' | 'invisible' | 'common' | 'personal' | 'mismatch'

/**
 * Posts `new_password`, `new_password_repeat`, `csrf` and `fields` to `path`; or `name`, `credential` (JSON), `challenge`, `csrf` and
 * `fields` to `path` + `/passkey`.
 */
export interface OneTimeLinkModel {
  readonly purpose: 'invite' | 'reset'
  readonly path: string
  readonly username: string
  readonly minLength: number
  /** null: the user cannot add a passkey. */
  readonly passkey: PasskeyChallenge | null
  readonly fields: HiddenFields
  readonly message: { readonly kind: PasswordMessage | 'passkey' | 'busy' } | null
}

function messageText(
  texts: Texts,
  { kind }: NonNullable<OneTimeLinkModel['message']>,
  minLength: number,
): string {
  if (kind === 'busy') return texts.common.busy
  if (kind === 'passkey') return texts.oneTimeLink.errors.passkey
  const { errors } = texts.changePassword
  return kind === 'short' ? errors.short(minLength) : errors[kind]
}

export function oneTimeLinkPage(model: OneTimeLinkModel, page: PageContext): string {
  const { texts } = page
  const { purpose, path, passkey, fields, message, minLength } = model
  const passwordIsWrong = message !== null && message.kind !== 'busy' && message.kind !== 'passkey'
  return frame(page, {
    title: texts.oneTimeLink.titles[purpose],
    failed: message !== null,
    scripts: passkey ? passkeyScripts(page) : [],
    content: html`<div class="card stack">
<h1>${texts.oneTimeLink.titles[purpose]}</h1>
<p class="lead tight">${texts.oneTimeLink.leads[purpose](name(model.username))}</p>
${message && alert(messageText(texts, message, minLength), !passwordIsWrong)}
${form(page, {
  path,
  fields,
  className: 'stack',
  content: html`<input type="text" name="username" value="${model.username}" autocomplete="username" readonly hidden>
${field({
  name: 'new_password',
  label: texts.changePassword.newPassword,
  type: 'password',
  autocomplete: 'new-password',
  hint: texts.changePassword.hint(minLength),
  autofocus: message === null || passwordIsWrong,
  invalid: passwordIsWrong,
})}
${field({
  name: 'new_password_repeat',
  label: texts.changePassword.repeatPassword,
  type: 'password',
  autocomplete: 'new-password',
  invalid: message?.kind === 'mismatch',
})}
${button({ label: texts.oneTimeLink.submit })}`,
})}
${
  passkey &&
  passkeyForm(page, {
    path: `${path}/passkey`,
    challenge: passkey,
    operation: 'create',
    label: texts.addPasskey.submit,
    primary: false,
    fields,
    content: html`<p class="or">${texts.common.or}</p>
<p class="hint">${texts.oneTimeLink.passkeyHint}</p>`,
  })
}
</div>`,
  })
}

/** Links to `/account`. */
export function oneTimeLinkDonePage({ kind }: { kind: 'password' | 'passkey' }, page: PageContext): string {
  const { oneTimeLink } = page.texts
  return frame(page, {
    title: oneTimeLink.done,
    content: html`<div class="card stack">
<h1>${oneTimeLink.doneTexts[kind]}</h1>
<p>${oneTimeLink.signedOut}</p>
${buttonLink(pageUrl(page, '/account'), oneTimeLink.signIn, 'primary')}
</div>`,
  })
}
