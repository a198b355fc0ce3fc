/** What an application may do, in words where there are words for it. */
import { type Html, html, name } from './html.ts'
import type { PageContext } from './page.ts'

/** Scopes of one API, by the identifier that tokens for it carry. */
export interface ApiScopes {
  readonly identifier: string
  readonly scopes: readonly string[]
}

/** The sentence for a scope of OpenID Connect, and the name itself of any other. */
export function scopeText({ texts }: PageContext, scope: string): Html {
  const known = Object.entries(texts.consent.scopes).find(([key]) => key === scope)
  return known ? html`${known[1]}` : html`<code><bdi>${scope}</bdi></code>`
}

const list = (page: PageContext, scopes: readonly string[], head?: Html): Html =>
  html`<ul class="scopes">
${head && html`<li class="of">${head}</li>`}${scopes.map((scope) => html`<li>${scopeText(page, scope)}</li>\n`)}</ul>`

export function scopeLists(page: PageContext, scopes: readonly string[], apis: readonly ApiScopes[]): Html[] {
  return [
    ...(scopes.length > 0 ? [list(page, scopes)] : []),
    ...apis
      .filter((api) => api.scopes.length > 0)
      .map((api) => list(page, api.scopes, page.texts.consent.atApi(name(api.identifier)))),
  ]
}
