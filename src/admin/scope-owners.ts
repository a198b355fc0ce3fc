/** Which API owns a scope, and what it means if none does. */
import { PROTOCOL_SCOPES } from '../oauth/scope.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError } from './errors.ts'
import { eachRow } from './page.ts'
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
  const owned = await store.apis.owners(scopes)
  return scopes.filter((scope) => !owned.has(scope) && !PROTOCOL_SCOPES.includes(scope))
}

/** Names the clients and roles that still have scopes which were removed from an API. */
export async function scopeHolderNotes({ store }: Deps, scopes: readonly string[]): Promise<string[]> {
  if (scopes.length === 0) return []
  const hasScope = (holder: { readonly scopes: readonly string[] }) =>
    holder.scopes.some((scope) => scopes.includes(scope))
  const clients: string[] = []
  for await (const client of eachRow(store.clients.page)) if (hasScope(client)) clients.push(client.id)
  const roles: string[] = []
  for await (const role of eachRow(store.roles.page)) if (hasScope(role)) roles.push(role.name)
  const holders = [
    ...(clients.length > 0 ? [`clients ${clients.join(', ')}`] : []),
    ...(roles.length > 0 ? [`roles ${roles.join(', ')}`] : []),
  ]
  if (holders.length === 0) return []
  return [
    `${holders.join(' and ')} still have scopes that no longer belong to this API: ${scopes.join(', ')}`,
  ]
}
