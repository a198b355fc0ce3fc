import { browserName, systemName } from '../browser-name.ts'
import { when } from '../dates.ts'
import { button, form } from '../forms.ts'
import { type Content, type Html, html, name } from '../html.ts'
import type { PageContext } from '../page.ts'
import { scopeText } from '../scopes.ts'
import { rows, section } from './section.ts'

/** One sign-in. Ended by `id`, POST `/account/sign-ins/end`; all of them by `all=yes`. */
export interface SignedInBrowser {
  readonly id: string
  readonly current: boolean
  readonly userAgent: string
  readonly ip: string
  /** Seconds since 1970, as all times here. */
  readonly since: number
}

/** One session of one client. Ended by `id`, POST `/account/sessions/end`. */
export interface UsedApp {
  readonly id: string
  readonly clientName: string
  readonly scopes: readonly string[]
  readonly since: number
  readonly lastUsed: number | null
}

/** Forgotten by `client_id`, POST `/account/consents/revoke`. */
export interface RememberedConsent {
  readonly clientId: string
  readonly clientName: string
  readonly scopes: readonly string[]
  readonly since: number
}

function describe({ texts }: PageContext, userAgent: string): string {
  const [browser, system] = [browserName(userAgent), systemName(userAgent)]
  if (browser === null) return system ?? texts.account.unknownBrowser
  return system === null ? browser : texts.account.browserOn(browser, system)
}

export function userSessionsSection(page: PageContext, userSessions: readonly SignedInBrowser[]): Html {
  const { account } = page.texts
  const row = ({ id, current, userAgent, ip, since }: SignedInBrowser) => ({
    title: html`${describe(page, userAgent)}${current && html` <span class="badge">${account.thisBrowser}</span>`}`,
    lines: [html`${account.signedInSince(when(page, since))} · <bdi>${ip}</bdi>`],
    // This one has its button at the top of the page.
    action:
      !current &&
      form(page, {
        path: '/account/sign-ins/end',
        fields: { id },
        content: button({ label: account.signOutOne, kind: 'secondary', of: describe(page, userAgent) }),
      }),
  })
  return section({
    id: 'sign-ins',
    title: account.userSessions,
    content: html`${rows(userSessions.map(row))}
<div class="foot"><p class="muted small">${account.signOutEverywhereHint}</p>
${form(page, {
  path: '/account/sign-ins/end',
  fields: { all: 'yes' },
  content: button({ label: account.signOutEverywhere, kind: 'danger' }),
})}</div>`,
  })
}

const may = (page: PageContext, scopes: readonly string[]): Content =>
  scopes.length > 0 &&
  html`${page.texts.account.scopes} ${scopes.map((scope, index) => [index > 0 && ', ', scopeText(page, scope)])}`

export function appsSection(page: PageContext, apps: readonly UsedApp[]): Html {
  const { account } = page.texts
  const row = ({ id, clientName, scopes, since, lastUsed }: UsedApp) => ({
    title: name(clientName),
    lines: [
      may(page, scopes),
      html`${account.since(when(page, since))}${lastUsed !== null && html`, ${account.lastUsed(when(page, lastUsed))}`}`,
    ],
    action: form(page, {
      path: '/account/sessions/end',
      fields: { id },
      content: button({ label: account.endAccess, kind: 'secondary', of: clientName }),
    }),
  })
  return section({
    id: 'apps',
    title: account.sessions,
    about: apps.length === 0 && account.sessionsNone,
    content: apps.length > 0 && rows(apps.map(row)),
  })
}

export function consentsSection(page: PageContext, consents: readonly RememberedConsent[]): Html {
  const { account } = page.texts
  const row = ({ clientId, clientName, scopes, since }: RememberedConsent) => ({
    title: name(clientName),
    lines: [may(page, scopes), account.since(when(page, since))],
    action: form(page, {
      path: '/account/consents/revoke',
      fields: { client_id: clientId },
      content: button({ label: account.forget, kind: 'secondary', of: clientName }),
    }),
  })
  return section({
    id: 'consents',
    title: account.consents,
    about: consents.length === 0 ? account.consentsNone : account.consentsHint,
    content: consents.length > 0 && rows(consents.map(row)),
  })
}
