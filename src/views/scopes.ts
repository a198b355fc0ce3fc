/** The permissions of an application, as lists of sentences and scope names. */
import { type Html, html, name } from './html.ts'
import type { PageContext } from './page.ts'

/** Scopes of one API. The identifier is the `aud` of its tokens. */
export interface ApiScopes {
  readonly identifier: string
  readonly scopes: readonly string[]
}

/** The text for a scope of OpenID Connect, and the bare name of any other scope. */
export function scopeText({ texts }: PageContext, scope: string): Html {
  const translated = Object.entries(texts.consent.scopes).find(([key]) => key === scope)
  return translated ? html`${translated[1]}` : html`<code><bdi>${scope}</bdi></code>`
}

const list = (page: PageContext, scopes: readonly string[], heading?: Html): Html =>
  html`<ul class="scopes">
${heading && html`<li class="api">${heading}</li>`}${scopes.map((scope) => html`<li>${scopeText(page, scope)}</li>\n`)}</ul>`

export function scopeLists(page: PageContext, scopes: readonly string[], apis: readonly ApiScopes[]): Html[] {
  return [
    ...(scopes.length > 0 ? [list(page, scopes)] : []),
    ...apis
      .filter((api) => api.scopes.length > 0)
      .map((api) => list(page, api.scopes, page.texts.consent.atApi(name(api.identifier)))),
  ]
}
