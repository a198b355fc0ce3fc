/** A form that the script completes: it asks the browser for the passkey's answer, fills it in, and sends it. */
import { form, type HiddenFields } from './forms.ts'
import { type Content, type Html, html } from './html.ts'
import type { PageContext } from './page.ts'

export interface PasskeyChallenge {
  /** As `@simplewebauthn/server` makes them, for the browser. */
  readonly options: object
  /** The encrypted challenge, which comes back in the form field `challenge`. */
  readonly state: string
}

export interface PasskeyForm {
  readonly path: string
  readonly challenge: PasskeyChallenge
  readonly does: 'create' | 'get'
  readonly label: string
  readonly primary: boolean
  readonly fields?: HiddenFields
  /** Also offers passkeys in the list that opens under the user name (conditional mediation). */
  readonly autofill?: boolean
  /** Shown with the button, once there is a script to make them of use. */
  readonly content?: Content
}

export function passkeyForm(page: PageContext, one: PasskeyForm): Html {
  const { texts } = page
  return form(page, {
    path: one.path,
    fields: { ...one.fields, challenge: one.challenge.state, credential: '' },
    className: 'passkey',
    attributes: html`data-passkey="${one.does}" data-options="${JSON.stringify(one.challenge.options)}" data-cancelled="${texts.passkeys.cancelled}" data-failed="${texts.passkeys.failed}" data-unsupported="${texts.passkeys.unsupported}" data-known="${texts.passkeys.alreadyThere}"${one.autofill && html` data-autofill`}`,
    content: html`<div class="stack" data-ready hidden>
${one.content}
<button type="button" class="button ${one.primary ? 'primary' : 'secondary'}">${one.label}</button>
</div>
<p class="message bad" role="alert" data-said hidden></p>`,
  })
}

/** In their order: the library first. */
export const passkeyScripts = ({ assets }: PageContext): string[] => [assets.webauthn, assets.passkeys]
