/** How pages name an API and its scopes. Must not know which page shows them. */
import type { Registry } from '../../oauth/registry.ts'
import type { ShownScope } from '../../views/scopes.ts'

export interface ShownAccess {
  /** The display name of the API, or the audience itself. */
  readonly audience: string
  readonly scopes: readonly ShownScope[]
}

/** @param audience the `aud` of the tokens, which need not be an API */
export function shownAccess(
  registry: Pick<Registry, 'api'>,
  audience: string,
  scopes: readonly string[],
): ShownAccess {
  const api = registry.api(audience)
  const texts = api?.scopeTexts ?? {}
  return {
    audience: api?.name ?? audience,
    scopes: scopes.map((scope) => ({ scope, text: Object.hasOwn(texts, scope) ? texts[scope] : undefined })),
  }
}
