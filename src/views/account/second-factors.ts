import { dateTime } from '../dates.ts'
import { button, buttonLink, form, pageUrl } from '../forms.ts'
import { type Html, html, name } from '../html.ts'
import type { PageContext } from '../page.ts'
import { type Row, rows, section } from './section.ts'

/** POST `/account/passkeys/remove` with `id` removes it. */
interface ListedPasskey {
  readonly id: string
  readonly name: string
  readonly createdAt: number
  readonly lastUsed: number | null
}

/**
 * TOTP: GET `/account/totp` sets it up, POST `/account/totp/remove` turns it off. Passkeys: GET `/account/passkeys` adds
 * one. Recovery codes: POST `/account/recovery-codes` creates new ones.
 */
export interface SecondFactors {
  readonly totp: { readonly since: number } | null
  readonly passkeys: readonly ListedPasskey[]
  /** null: the user has none. */
  readonly recoveryCodesLeft: number | null
  /** One of the user's roles requires a second factor. */
  readonly required: boolean
}

function totpRow(page: PageContext, totp: SecondFactors['totp']): Row {
  const { account } = page.texts
  if (totp === null) {
    return {
      title: account.totp,
      lines: [account.off],
      action: buttonLink(
        pageUrl(page, '/account/totp'),
        html`${account.setUp}<span class="visually-hidden">: ${account.totp}</span>`,
      ),
    }
  }
  return {
    title: account.totp,
    lines: [account.onSince(dateTime(page, totp.since))],
    action: form(page, {
      path: '/account/totp/remove',
      content: button({ label: account.turnOff, kind: 'secondary', subject: account.totp }),
    }),
  }
}

function passkeyRow(page: PageContext, passkey: ListedPasskey): Row {
  const { account } = page.texts
  const used =
    passkey.lastUsed === null ? account.neverUsed : account.lastUsed(dateTime(page, passkey.lastUsed))
  return {
    title: name(passkey.name),
    lines: [html`${account.added(dateTime(page, passkey.createdAt))}, ${used}`],
    action: form(page, {
      path: '/account/passkeys/remove',
      fields: { id: passkey.id },
      content: button({ label: account.remove, kind: 'secondary', subject: passkey.name }),
    }),
  }
}

export function secondFactorsSection(page: PageContext, factors: SecondFactors): Html {
  const { account } = page.texts
  const { passkeys, recoveryCodesLeft: left } = factors
  const recoveryCodesRow: Row = {
    title: account.recoveryCodes,
    lines: [left === null ? account.noRecoveryCodes : account.recoveryCodesLeft(left)],
    action: form(page, {
      path: '/account/recovery-codes',
      content: button({ label: account.createRecoveryCodes, kind: 'secondary' }),
    }),
  }
  const passkeysRow: Row = {
    title: account.passkeys,
    lines: [account.passkeysHint],
    action: buttonLink(pageUrl(page, '/account/passkeys'), account.addPasskey),
    children: passkeys.map((passkey) => passkeyRow(page, passkey)),
  }
  const hasFactors = factors.totp !== null || passkeys.length > 0 || left !== null
  return section({
    id: 'second-factors',
    title: account.secondFactors,
    description: factors.required ? account.secondFactorsRequired : account.secondFactorsHint,
    content: rows([totpRow(page, factors.totp), passkeysRow, ...(hasFactors ? [recoveryCodesRow] : [])]),
  })
}
