/** The permissions of an application, as lists of sentences and scope names. */
import { type Html, html, name } from './html.ts'
import type { PageContext } from './page.ts'

/** A scope, and what an administrator says that it permits. */
export interface ShownScope {
  readonly scope: string
  readonly text?: string | undefined
}

/** Scopes of one API. */
export interface ApiScopes {
  /** The display name of the API, or its identifier. */
  readonly name: string
  readonly scopes: readonly ShownScope[]
}

/** The text for a scope of OpenID Connect, the administrator's text for another scope, and the bare name if there is none. */
export function scopeText({ texts }: PageContext, { scope, text }: ShownScope): Html {
  const translated = Object.entries(texts.consent.scopes).find(([key]) => key === scope)
  if (translated) return html`${translated[1]}`
  return text === undefined ? html`<code><bdi>${scope}</bdi></code>` : html`<bdi>${text}</bdi>`
}

const list = (page: PageContext, scopes: readonly ShownScope[], heading?: Html): Html =>
  html`<ul class="scopes">
${heading && html`<li class="api">${heading}</li>`}${scopes.map((scope) => html`<li>${scopeText(page, scope)}</li>\n`)}</ul>`

export function scopeLists(
  page: PageContext,
  scopes: readonly ShownScope[],
  apis: readonly ApiScopes[],
): Html[] {
  return [
    ...(scopes.length > 0 ? [list(page, scopes)] : []),
    ...apis
      .filter((api) => api.scopes.length > 0)
      .map((api) => list(page, api.scopes, page.texts.consent.atApi(name(api.name)))),
  ]
}
