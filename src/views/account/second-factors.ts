import { when } from '../dates.ts'
import { button, buttonLink, form, ours } from '../forms.ts'
import { type Html, html, name } from '../html.ts'
import type { PageContext } from '../page.ts'
import { type Row, rows, section } from './section.ts'

/** Removed by `id`, POST `/account/passkeys/remove`. */
interface ListedPasskey {
  readonly id: string
  readonly name: string
  readonly createdAt: number
  readonly lastUsed: number | null
}

/**
 * TOTP: GET `/account/totp` sets it up, POST `/account/totp/remove` switches it off. Passkeys: GET
 * `/account/passkeys` adds one. Recovery codes: POST `/account/recovery-codes` makes new ones.
 */
export interface SecondFactors {
  readonly totp: { readonly since: number } | null
  readonly passkeys: readonly ListedPasskey[]
  /** null: none have been made. */
  readonly recoveryCodesLeft: number | null
  /** By a role. */
  readonly required: boolean
}

function totpRow(page: PageContext, totp: SecondFactors['totp']): Row {
  const { account } = page.texts
  if (totp === null) {
    return {
      title: account.totp,
      lines: [account.off],
      action: buttonLink(
        ours(page, '/account/totp'),
        html`${account.setUp}<span class="unseen">: ${account.totp}</span>`,
      ),
    }
  }
  return {
    title: account.totp,
    lines: [account.on(when(page, totp.since))],
    action: form(page, {
      path: '/account/totp/remove',
      content: button({ label: account.switchOff, kind: 'secondary', of: account.totp }),
    }),
  }
}

function passkeyRow(page: PageContext, passkey: ListedPasskey): Row {
  const { account } = page.texts
  const used = passkey.lastUsed === null ? account.neverUsed : account.lastUsed(when(page, passkey.lastUsed))
  return {
    title: name(passkey.name),
    lines: [html`${account.added(when(page, passkey.createdAt))}, ${used}`],
    action: form(page, {
      path: '/account/passkeys/remove',
      fields: { id: passkey.id },
      content: button({ label: account.remove, kind: 'secondary', of: passkey.name }),
    }),
  }
}

export function secondFactorsSection(page: PageContext, factors: SecondFactors): Html {
  const { account } = page.texts
  const { passkeys, recoveryCodesLeft: left } = factors
  const codes: Row = {
    title: account.recoveryCodes,
    lines: [left === null ? account.recoveryCodesNone : account.recoveryCodesLeft(left)],
    action: form(page, {
      path: '/account/recovery-codes',
      content: button({ label: account.makeRecoveryCodes, kind: 'secondary' }),
    }),
  }
  const own: Row = {
    title: account.passkeys,
    lines: [account.passkeysHint],
    action: buttonLink(ours(page, '/account/passkeys'), account.addPasskey),
    below: passkeys.map((one) => passkeyRow(page, one)),
  }
  const any = factors.totp !== null || passkeys.length > 0 || left !== null
  return section({
    id: 'second-factors',
    title: account.secondFactors,
    about: factors.required ? account.secondFactorsRequired : account.secondFactorsHint,
    content: rows([totpRow(page, factors.totp), own, ...(any ? [codes] : [])]),
  })
}
