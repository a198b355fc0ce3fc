import type { Base } from '../node/base.ts'
import { PROTOCOL_SCOPES } from '../oauth/scope.ts'
import type { Context } from './context.ts'

/** Names the scopes that belong to no API. This is allowed, but usually a typing mistake. */
export async function noteUnownedScopes(
  context: Context,
  base: Base,
  scopes: readonly string[],
): Promise<void> {
  const owned = new Set((await base.store.apis.list()).flatMap((api) => api.scopes))
  const unowned = scopes.filter((scope) => !owned.has(scope) && !PROTOCOL_SCOPES.includes(scope))
  if (unowned.length === 0) return
  context.note(
    `no API has the scope ${unowned.join(', ')}; the audience of a token with only such scopes is ${base.config.defaultAudience}`,
  )
}

/** Names the clients and roles that still have scopes which were removed from an API. */
export async function noteScopeHolders(
  context: Context,
  base: Base,
  scopes: readonly string[],
): Promise<void> {
  if (scopes.length === 0) return
  const hasScope = (holder: { readonly scopes: readonly string[] }) =>
    holder.scopes.some((scope) => scopes.includes(scope))
  const clients = (await base.store.clients.list()).filter(hasScope).map((client) => client.id)
  const roles = (await base.store.roles.list()).filter(hasScope).map((role) => role.name)
  const holders = [
    ...(clients.length > 0 ? [`clients ${clients.join(', ')}`] : []),
    ...(roles.length > 0 ? [`roles ${roles.join(', ')}`] : []),
  ]
  if (holders.length === 0) return
  context.note(
    `${holders.join(' and ')} still have scopes that no longer belong to this API: ${scopes.join(', ')}`,
  )
}
