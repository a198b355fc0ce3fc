import { alert, button, cancelForm, field, form, type HiddenFields, pageUrl } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type PasskeyChallenge, passkeyForm, passkeyScripts } from '../passkeys.ts'
import type { Texts } from '../texts/index.ts'

export type SecondFactorMessage =
  | { readonly kind: 'code' | 'recovery-code' | 'passkey' | 'busy' | 'expired' }
  | { readonly kind: 'rate_limited'; readonly seconds: number }

/**
 * Each form posts `flow`, `csrf` and one of these to `/login/second-factor`: `code`; `recovery_code`; `credential` (JSON)
 * with `challenge`.
 */
export interface SecondFactorModel {
  readonly username: string
  /** null: no client sent the user here. */
  readonly clientName: string | null
  readonly flow: string | null
  readonly totp: boolean
  readonly recoveryCodes: boolean
  /** null: the user has no passkey. */
  readonly passkey: PasskeyChallenge | null
  readonly message: SecondFactorMessage | null
  /** Where the forms lead if not to `/login/second-factor`. The user then cannot change to another account. */
  readonly action?: string
  /** Hidden inputs of every form. */
  readonly fields?: HiddenFields
}

function messageText(texts: Texts, message: SecondFactorMessage): string {
  const { secondFactor, common } = texts
  if (message.kind === 'rate_limited') return common.rateLimited(message.seconds)
  const messages = {
    code: secondFactor.wrongCode,
    'recovery-code': secondFactor.wrongRecoveryCode,
    passkey: secondFactor.passkeyRefused,
    busy: common.busy,
    expired: common.expired,
  }
  return messages[message.kind]
}

const ACTION = '/login/second-factor'

/** The link to another account leads to `/login?flow=…&account=other`. */
export function secondFactorPage(model: SecondFactorModel, page: PageContext): string {
  const { texts } = page
  const { flow, passkey, message, totp, action = ACTION } = model
  const fields = { ...model.fields, flow }
  const wrongCode = message?.kind === 'code'
  const wrongRecoveryCode = message?.kind === 'recovery-code'
  const totpForm = form(page, {
    path: action,
    fields,
    className: 'stack',
    content: html`${field({
      name: 'code',
      label: texts.secondFactor.code,
      hint: texts.secondFactor.codeHint,
      autocomplete: 'one-time-code',
      digits: 6,
      invalid: wrongCode,
      autofocus: message === null || wrongCode,
    })}
${button({ label: texts.secondFactor.submit })}`,
  })
  const recoveryForm = form(page, {
    path: action,
    fields,
    className: 'stack',
    content: html`${field({
      name: 'recovery_code',
      label: texts.secondFactor.recoveryCode,
      hint: texts.secondFactor.recoveryHint,
      autocomplete: 'off',
      verbatim: true,
      invalid: wrongRecoveryCode,
      autofocus: wrongRecoveryCode,
      className: 'mono',
    })}
${button({ label: texts.secondFactor.submit })}`,
  })
  const problem = message && alert(messageText(texts, message), !wrongCode && !wrongRecoveryCode)
  return frame(page, {
    title: texts.secondFactor.title,
    failed: message !== null,
    scripts: passkey ? passkeyScripts(page) : [],
    content: html`<div class="card stack">
<h1>${texts.secondFactor.title}</h1>
<p class="lead tight">${(model.action === undefined ? texts.secondFactor.lead : texts.oneTimeLink.confirm)(name(model.username))}</p>
<div class="stack ways">
${!wrongRecoveryCode && problem}
${totp && totpForm}
${
  passkey &&
  passkeyForm(page, {
    path: action,
    challenge: passkey,
    operation: 'get',
    label: texts.secondFactor.passkey,
    primary: !totp,
    fields,
    content: totp && html`<p class="or">${texts.common.or}</p>`,
  })
}
${passkey && !totp && html`<noscript><p class="message plain">${texts.passkeys.noScript}</p></noscript>`}
</div>
${
  model.recoveryCodes &&
  html`<details class="instead"${wrongRecoveryCode && html` open`}>
<summary><span class="closed">${texts.secondFactor.useRecoveryCode}</span><span class="opened">${texts.secondFactor.useAnotherWay}</span></summary>
<div class="stack">
${wrongRecoveryCode && problem}
${recoveryForm}
</div>
</details>`
}
${model.action === undefined && html`<p><a class="more" href="${pageUrl(page, '/login', { flow, account: 'other' })}">${texts.common.useAnotherAccount}</a></p>`}
${cancelForm(page, flow, model.clientName)}
</div>`,
  })
}
