import { alert, button, cancelForm, field, form, type HiddenFields, notice, pageUrl } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type PasskeyChallenge, passkeyForm, passkeyScripts } from '../passkeys.ts'
import type { Texts } from '../texts/index.ts'

export type LoginMessage =
  /** `credentials`: the page does not reveal whether the username or the password was wrong. */
  | { readonly kind: 'credentials' | 'passkey' | 'busy' | 'expired' }
  | { readonly kind: 'rate_limited'; readonly seconds: number }
  /** This is not an error: `prompt=login`, `max_age` or the account page requires a new login. */
  | { readonly kind: 'reauthenticate' }

/**
 * The password form posts `username`, `password`, `flow`, `csrf` to `/login`; the passkey form posts `credential` (JSON),
 * `challenge`, `flow`, `csrf` to `/login/passkey`.
 */
export interface LoginModel {
  /** null: no client sent the user here; the login leads to the account page. */
  readonly clientName: string | null
  readonly flow: string | null
  /** The username that was entered before, or the `login_hint`; may be empty. */
  readonly username: string
  /** This user must log in again: the name is shown and cannot be edited. A link leads to another account. */
  readonly usernameFixed: boolean
  readonly message: LoginMessage | null
  /** null: this server does not offer passkeys. */
  readonly passkey: PasskeyChallenge | null
  /** Hidden inputs of both forms. */
  readonly fields?: HiddenFields
}

function messageText(texts: Texts, message: LoginMessage): string {
  const { login, common } = texts
  if (message.kind === 'rate_limited') return common.rateLimited(message.seconds)
  const messages = {
    credentials: login.wrongCredentials,
    passkey: login.unknownPasskey,
    busy: common.busy,
    expired: common.expired,
    reauthenticate: login.reauthenticate,
  }
  return messages[message.kind]
}

/** The link to another account leads to `/login?flow=…&account=other`. */
export function loginPage(model: LoginModel, page: PageContext): string {
  const { texts, brand } = page
  const { flow, passkey, message } = model
  const fields = { ...model.fields, flow }
  const failed = message !== null && message.kind !== 'reauthenticate'
  const wrongCredentials = message?.kind === 'credentials'
  const hasUsername = model.username !== ''
  const usernameField = model.usernameFixed
    ? html`<p>${texts.common.signedInAs(name(model.username))} <a class="more" href="${pageUrl(page, '/login', { flow, account: 'other' })}">${texts.common.useAnotherAccount}</a></p>
<input type="text" name="username" value="${model.username}" autocomplete="username" readonly hidden>`
    : field({
        name: 'username',
        label: texts.login.username,
        value: model.username,
        autocomplete: passkey ? 'username webauthn' : 'username',
        autofocus: !hasUsername && (!failed || wrongCredentials),
        invalid: wrongCredentials,
        verbatim: true,
      })
  return frame(page, {
    title: texts.login.title,
    failed,
    scripts: passkey ? passkeyScripts(page) : [],
    content: html`<div class="card stack">
<h1>${texts.login.title}</h1>
<p class="lead tight">${
      model.clientName === null
        ? texts.login.toAccount(name(brand.name))
        : texts.login.toContinue(name(model.clientName))
    }</p>
${message && (failed ? alert(messageText(texts, message), !wrongCredentials) : notice(messageText(texts, message), false))}
${form(page, {
  path: '/login',
  fields,
  className: 'stack',
  content: html`${usernameField}
${field({
  name: 'password',
  label: texts.login.password,
  type: 'password',
  autocomplete: 'current-password',
  autofocus: hasUsername && (!failed || wrongCredentials),
  invalid: wrongCredentials,
})}
${button({ label: texts.login.submit })}`,
})}
${
  passkey &&
  passkeyForm(page, {
    path: '/login/passkey',
    challenge: passkey,
    operation: 'get',
    label: texts.login.passkey,
    primary: false,
    fields,
    autofill: !model.usernameFixed,
    content: html`<p class="or">${texts.common.or}</p>`,
  })
}
${cancelForm(page, flow, model.clientName)}
</div>`,
  })
}
