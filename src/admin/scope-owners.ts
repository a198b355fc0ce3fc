/** Which API owns a scope, and what it means if none does. */
import { PROTOCOL_SCOPES } from '../oauth/scope.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError } from './errors.ts'
import type { ScopeChoice } from './verbs.ts'

type Deps = Pick<LocalDeps, 'store' | 'config'>

/**
 * A scope that belongs to no API is usually a typing mistake, and a token with it has the default audience.
 * @throws {AdminError} unowned-scope, unless the administrator allows it
 */
export async function assertOwned(
  deps: Deps,
  scopes: readonly string[],
  { allowUnowned }: ScopeChoice,
): Promise<void> {
  const unowned = allowUnowned ? [] : await unownedAmong(deps, scopes)
  if (unowned.length === 0) return
  const message = `no API has the scope ${unowned.join(', ')}`
  throw new AdminError('unowned-scope', message, {
    errors: unowned.map((scope) => ({ field: 'scope', message: `no API has the scope ${scope}` })),
  })
}

/** Names the scopes that belong to no API, and what that means. */
export async function unownedNotes(deps: Deps, scopes: readonly string[]): Promise<string[]> {
  const unowned = await unownedAmong(deps, scopes)
  if (unowned.length === 0) return []
  const audience = deps.config.defaultAudience
  return [
    `no API has the scope ${unowned.join(', ')}; the audience of a token with only such scopes is ${audience}`,
  ]
}

async function unownedAmong({ store }: Deps, scopes: readonly string[]): Promise<string[]> {
  const owned = new Set((await store.apis.list()).flatMap((api) => api.scopes))
  return scopes.filter((scope) => !owned.has(scope) && !PROTOCOL_SCOPES.includes(scope))
}

/** Names the clients and roles that still have scopes which were removed from an API. */
export async function scopeHolderNotes({ store }: Deps, scopes: readonly string[]): Promise<string[]> {
  if (scopes.length === 0) return []
  const hasScope = (holder: { readonly scopes: readonly string[] }) =>
    holder.scopes.some((scope) => scopes.includes(scope))
  const clients = (await store.clients.list()).filter(hasScope).map((client) => client.id)
  const roles = (await store.roles.list()).filter(hasScope).map((role) => role.name)
  const holders = [
    ...(clients.length > 0 ? [`clients ${clients.join(', ')}`] : []),
    ...(roles.length > 0 ? [`roles ${roles.join(', ')}`] : []),
  ]
  if (holders.length === 0) return []
  return [
    `${holders.join(' and ')} still have scopes that no longer belong to this API: ${scopes.join(', ')}`,
  ]
}
