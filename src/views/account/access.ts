import { browserName, systemName } from '../browser-name.ts'
import { dateTime } from '../dates.ts'
import { button, form } from '../forms.ts'
import { type Content, type Html, html, name } from '../html.ts'
import type { PageContext } from '../page.ts'
import { type ShownScope, scopeText } from '../scopes.ts'
import { rows, section } from './section.ts'

/** A user session. POST `/account/sign-ins/end` with `id` ends it; with `all=yes` it ends all of them. */
export interface SignedInBrowser {
  readonly id: string
  readonly current: boolean
  readonly userAgent: string
  readonly ip: string
  /** Seconds since 1970, like all times in this file. */
  readonly since: number
}

/** A client session. POST `/account/sessions/end` with `id` ends it. */
export interface ConnectedApp {
  readonly id: string
  readonly clientName: string
  /** As in `SavedConsent`. */
  readonly audience: string | null
  readonly scopes: readonly ShownScope[]
  readonly since: number
  readonly lastUsed: number | null
}

/** A stored consent. POST `/account/consents/revoke` with `client_id` revokes it. */
export interface SavedConsent {
  readonly clientId: string
  readonly clientName: string
  /** Where the access can be used: the name of the API, or the `aud` of the tokens; null if that is this server. */
  readonly audience: string | null
  readonly scopes: readonly ShownScope[]
  readonly since: number
}

function browserDescription({ texts }: PageContext, userAgent: string): string {
  const [browser, system] = [browserName(userAgent), systemName(userAgent)]
  if (browser === null) return system ?? texts.account.unknownBrowser
  return system === null ? browser : texts.account.browserOn(browser, system)
}

export function userSessionsSection(page: PageContext, userSessions: readonly SignedInBrowser[]): Html {
  const { account } = page.texts
  const row = ({ id, current, userAgent, ip, since }: SignedInBrowser) => ({
    title: html`${browserDescription(page, userAgent)}${current && html` <span class="badge">${account.thisBrowser}</span>`}`,
    lines: [html`${account.signedInOn(dateTime(page, since))} · <bdi>${ip}</bdi>`],
    // The button for the current browser is at the top of the page.
    action:
      !current &&
      form(page, {
        path: '/account/sign-ins/end',
        fields: { id },
        content: button({
          label: account.signOutBrowser,
          kind: 'secondary',
          subject: browserDescription(page, userAgent),
        }),
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

const permissionsLine = (
  page: PageContext,
  scopes: readonly ShownScope[],
  audience: string | null,
): Content =>
  scopes.length > 0 &&
  html`${audience === null ? page.texts.account.permissions : page.texts.account.permissionsFor(name(audience))} ${scopes.map((scope, index) => [index > 0 && ', ', scopeText(page, scope)])}`

export function appsSection(page: PageContext, apps: readonly ConnectedApp[]): Html {
  const { account } = page.texts
  const row = ({ id, clientName, audience, scopes, since, lastUsed }: ConnectedApp) => ({
    title: name(clientName),
    lines: [
      permissionsLine(page, scopes, audience),
      html`${account.since(dateTime(page, since))}${lastUsed !== null && html`, ${account.lastUsed(dateTime(page, lastUsed))}`}`,
    ],
    action: form(page, {
      path: '/account/sessions/end',
      fields: { id },
      content: button({ label: account.removeAccess, kind: 'secondary', subject: clientName }),
    }),
  })
  return section({
    id: 'apps',
    title: account.apps,
    description: apps.length === 0 && account.noApps,
    content: apps.length > 0 && rows(apps.map(row)),
  })
}

export function consentsSection(page: PageContext, consents: readonly SavedConsent[]): Html {
  const { account } = page.texts
  const row = ({ clientId, clientName, audience, scopes, since }: SavedConsent) => ({
    title: name(clientName),
    lines: [permissionsLine(page, scopes, audience), account.since(dateTime(page, since))],
    action: form(page, {
      path: '/account/consents/revoke',
      fields: { client_id: clientId },
      content: button({ label: account.askAgain, kind: 'secondary', subject: clientName }),
    }),
  })
  return section({
    id: 'consents',
    title: account.consents,
    description: consents.length === 0 ? account.noConsents : account.consentsHint,
    content: consents.length > 0 && rows(consents.map(row)),
  })
}
