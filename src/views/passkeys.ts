/** A form that a script completes: it asks the browser for a passkey credential, fills it in and submits the form. */
import { form, type HiddenFields } from './forms.ts'
import { type Content, type Html, html } from './html.ts'
import type { PageContext } from './page.ts'

export interface PasskeyChallenge {
  /** The options that `@simplewebauthn/server` creates for the browser. */
  readonly options: object
  /** The encrypted challenge, which the form returns in its field `challenge`. */
  readonly state: string
}

export interface PasskeyForm {
  readonly path: string
  readonly challenge: PasskeyChallenge
  readonly operation: 'create' | 'get'
  readonly label: string
  readonly primary: boolean
  readonly fields?: HiddenFields
  /** Also offers passkeys in the suggestions of the username field (conditional mediation). */
  readonly autofill?: boolean
  /** Shown with the button. Both are shown only if scripts run. */
  readonly content?: Content
}

export function passkeyForm(page: PageContext, options: PasskeyForm): Html {
  const { texts } = page
  return form(page, {
    path: options.path,
    fields: { ...options.fields, challenge: options.challenge.state, credential: '' },
    className: 'passkey',
    attributes: html`data-passkey="${options.operation}" data-options="${JSON.stringify(options.challenge.options)}" data-cancelled="${texts.passkeys.cancelled}" data-failed="${texts.passkeys.failed}" data-unsupported="${texts.passkeys.unsupported}" data-registered="${texts.passkeys.alreadyRegistered}"${options.autofill && html` data-autofill`}`,
    content: html`<div class="stack" data-ready hidden>
${options.content}
<button type="button" class="button ${options.primary ? 'primary' : 'secondary'}">${options.label}</button>
</div>
<p class="message bad" role="alert" data-error hidden></p>`,
  })
}

/** The order matters, because the second script uses the first. */
export const passkeyScripts = ({ assets }: PageContext): string[] => [assets.webauthn, assets.passkeys]
