import { alert, field, type HiddenFields, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type PasskeyChallenge, passkeyForm, passkeyScripts } from '../passkeys.ts'

/** Posts `name`, `credential` (JSON), `challenge`, `flow`, `csrf` to `/account/passkeys`. */
export interface AddPasskeyModel {
  readonly passkey: PasskeyChallenge
  /** The name that the user entered before, or empty. */
  readonly name: string
  /** Set if an authorization request waits for the passkey. */
  readonly flow: string | null
  readonly message: { readonly kind: 'refused' | 'name' | 'known' | 'expired' } | null
  readonly fields?: HiddenFields
}

export const MAX_PASSKEY_NAME_LENGTH = 64

export function addPasskeyPage(model: AddPasskeyModel, page: PageContext): string {
  const { texts } = page
  const { flow, message } = model
  const nameIsWrong = message?.kind === 'name'
  return frame(page, {
    title: texts.addPasskey.title,
    failed: message !== null,
    scripts: passkeyScripts(page),
    content: html`<div class="card stack">
<h1>${texts.addPasskey.title}</h1>
<p class="lead tight">${texts.addPasskey.lead}</p>
${message && alert(message.kind === 'expired' ? texts.common.expired : texts.addPasskey.errors[message.kind], !nameIsWrong)}
<noscript><p class="message plain">${texts.passkeys.noScript}</p></noscript>
${passkeyForm(page, {
  path: '/account/passkeys',
  challenge: model.passkey,
  operation: 'create',
  label: texts.addPasskey.submit,
  primary: true,
  fields: { ...model.fields, flow },
  content: field({
    name: 'name',
    label: texts.addPasskey.name,
    hint: texts.addPasskey.nameHint,
    value: model.name,
    autocomplete: 'off',
    maxlength: MAX_PASSKEY_NAME_LENGTH,
    invalid: nameIsWrong,
    autofocus: message === null || nameIsWrong,
  }),
})}
<p><a class="more" href="${flow === null ? pageUrl(page, '/account') : pageUrl(page, '/account/second-factor', { flow })}">${texts.common.cancel}</a></p>
</div>`,
  })
}
