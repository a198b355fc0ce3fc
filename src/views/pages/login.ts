import { alert, button, field, form, type HiddenFields, notice, ours } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type PasskeyChallenge, passkeyForm, passkeyScripts } from '../passkeys.ts'
import type { Texts } from '../texts/index.ts'

export type LoginMessage =
  /** User name or password; which of them is not said. */
  | { readonly kind: 'credentials' | 'passkey' | 'busy' | 'expired' }
  | { readonly kind: 'rate_limited'; readonly seconds: number }
  /** No mistake: `prompt=login`, `max_age`, or something on the account page that asks for it. */
  | { readonly kind: 'reauthenticate' }

/**
 * Posts `username`, `password`, `flow`, `csrf` to `/login`; the passkey form `credential` (JSON), `challenge`, `flow`,
 * `csrf` to `/login/passkey`.
 */
export interface LoginModel {
  /** null: the person came by themselves, and is led to their account. */
  readonly clientName: string | null
  readonly flow: string | null
  /** What was typed before, or `login_hint`; empty if there is nothing. */
  readonly username: string
  /** It is this user who shall sign in again: the name is shown, and cannot be changed but by another account. */
  readonly known: boolean
  readonly message: LoginMessage | null
  /** null: no passkeys here. */
  readonly passkey: PasskeyChallenge | null
  /** Sent along with either form. */
  readonly fields?: HiddenFields
}

function said(texts: Texts, message: LoginMessage): string {
  const { login, common } = texts
  if (message.kind === 'rate_limited') return common.rateLimited(message.seconds)
  const sentences = {
    credentials: login.credentials,
    passkey: login.passkeyRefused,
    busy: common.busy,
    expired: common.expired,
    reauthenticate: login.reauthenticate,
  }
  return sentences[message.kind]
}

/** GET `/login?flow=…&account=other` is the way to another account. */
export function loginPage(model: LoginModel, page: PageContext): string {
  const { texts, brand } = page
  const { flow, passkey, message } = model
  const fields = { ...model.fields, flow }
  const failed = message !== null && message.kind !== 'reauthenticate'
  const wrong = message?.kind === 'credentials'
  const typed = model.username !== ''
  const who = model.known
    ? html`<p>${texts.common.signedInAs(name(model.username))} <a class="more" href="${ours(page, '/login', { flow, account: 'other' })}">${texts.common.useAnotherAccount}</a></p>
<input type="text" name="username" value="${model.username}" autocomplete="username" readonly hidden>`
    : field({
        name: 'username',
        label: texts.login.username,
        value: model.username,
        autocomplete: passkey ? 'username webauthn' : 'username',
        autofocus: !typed && (!failed || wrong),
        invalid: wrong,
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
${message && (failed ? alert(said(texts, message), !wrong) : notice(said(texts, message), false))}
${form(page, {
  path: '/login',
  fields,
  className: 'stack',
  content: html`${who}
${field({
  name: 'password',
  label: texts.login.password,
  type: 'password',
  autocomplete: 'current-password',
  autofocus: typed && (!failed || wrong),
  invalid: wrong,
})}
${button({ label: texts.login.submit })}`,
})}
${
  passkey &&
  passkeyForm(page, {
    path: '/login/passkey',
    challenge: passkey,
    does: 'get',
    label: texts.login.passkey,
    primary: false,
    fields,
    autofill: !model.known,
    content: html`<p class="or">${texts.common.or}</p>`,
  })
}
</div>`,
  })
}
