import { button, form, type HiddenFields, pageUrl } from '../forms.ts'
import { address, type Html, html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { redirectDestination } from '../redirect-destination.ts'
import { type ApiScopes, type ShownScope, scopeLists } from '../scopes.ts'

/** Posts `decision` (`allow` or `deny`), `remember` (`yes` or absent), `flow`, `csrf` to `/consent`. */
export interface ConsentModel {
  readonly clientName: string
  /** Below the issuer; null if the client has no logo. */
  readonly logoPath: string | null
  /** Addresses of pages of the client; null for those that it has not registered. */
  readonly links: Readonly<Record<'client' | 'policy' | 'terms', string | null>>
  readonly flow: string
  readonly username: string
  /** Where the response is sent; shown as a host, this device or an app. */
  readonly redirectUri: string
  /** Scopes of OpenID Connect, such as `profile`. Unknown scopes are shown by their names. */
  readonly scopes: readonly ShownScope[]
  readonly apis: readonly ApiScopes[]
  /** The `aud` of the tokens, if it is neither this server nor one of the APIs. */
  readonly audience?: string | undefined
  /** Whether the user may choose not to be asked again. */
  readonly canStoreConsent: boolean
  readonly fields?: HiddenFields
}

function redirectNotice({ texts }: PageContext, redirectUri: string): Html {
  const destination = redirectDestination(redirectUri)
  if (destination.kind === 'app') {
    return html`<p class="message plain">${texts.consent.opensApp(name(destination.scheme))}</p>`
  }
  if (destination.kind === 'device') {
    return html`<p class="message plain">${texts.consent.redirectsToDevice(name(destination.host))}</p>`
  }
  return html`<p class="muted small">${texts.consent.redirectsToHost(name(destination.host))}</p>`
}

/** Links to pages of the client. They lead away from this server, so each says where. */
function clientLinks({ texts }: PageContext, { links }: ConsentModel): Html | false {
  const shown = (['client', 'policy', 'terms'] as const).flatMap((kind) => {
    const url = links[kind]
    return url === null
      ? []
      : [html`<a rel="noreferrer" href="${address(url)}">${texts.consent.links[kind]}</a>`]
  })
  return (
    shown.length > 0 &&
    html`<p class="muted small links">${shown.map((link, i) => [i > 0 && ' · ', link])}</p>`
  )
}

export function consentPage(model: ConsentModel, page: PageContext): string {
  const { texts } = page
  const { flow } = model
  const lists = scopeLists(page, model.scopes, model.apis)
  return frame(page, {
    title: texts.consent.title(model.clientName),
    content: html`<div class="card stack">
${model.logoPath !== null && html`<img class="client-logo" src="${pageUrl(page, model.logoPath)}" alt="">\n`}<h1>${texts.consent.heading(name(model.clientName))}</h1>
<p class="muted tight">${texts.consent.signedInAs(name(model.username))} <a class="more" href="${pageUrl(page, '/login', { flow, account: 'other' })}">${texts.consent.notYou}</a></p>
${
  lists.length === 0
    ? html`<p>${texts.consent.noPermissions}</p>`
    : html`<div class="panel"><h2>${texts.consent.permissions}</h2>
${lists}</div>`
}
${model.audience !== undefined && html`<p>${texts.consent.audience(name(model.audience))}</p>`}
${redirectNotice(page, model.redirectUri)}
${clientLinks(page, model)}
${form(page, {
  path: '/consent',
  fields: { ...model.fields, flow },
  className: 'stack',
  content: html`${
    model.canStoreConsent &&
    html`<label class="check"><input type="checkbox" name="remember" value="yes"><span>${texts.consent.remember}</span></label>`
  }
<div class="choice">
${button({ label: texts.consent.deny, kind: 'secondary', name: 'decision', value: 'deny' })}
${button({ label: texts.consent.allow, name: 'decision', value: 'allow' })}
</div>`,
})}
${model.canStoreConsent && html`<p class="muted small center">${texts.consent.revokeHint}</p>`}
</div>`,
  })
}
